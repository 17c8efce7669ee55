//! What is used of MuJoCo's C interface: its functions by their own names, and where fields lie in the structures of the
//! versions that are known. Nothing here decides anything.

use std::ffi::{c_char, c_int, c_void};

macro_rules! functions {
    ($($(#[$about:meta])* $name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions, by the names that they have in `mujoco.h`. What fails in them calls `mju_error`, from whose
        /// handler the way leads back through them by unwinding.
        #[allow(non_snake_case)]
        pub(super) struct Functions {
            $($(#[$about])* pub $name: unsafe extern "C-unwind" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            /// Looks them all up.
            ///
            /// # Safety
            /// It is MuJoCo, of a version whose functions have these arguments.
            pub unsafe fn of(library: &libloading::Library) -> Result<Self, libloading::Error> {
                // SAFETY: the caller vouches for the types.
                Ok(Functions {
                    $($name: unsafe { *library.get(concat!(stringify!($name), "\0").as_bytes())? },)*
                })
            }
        }
    };
}

functions! {
    /// A model from a file; null with the reason in the buffer.
    mj_loadXML(*const c_char, *const c_void, *mut c_char, c_int) -> *mut c_void;
    mj_deleteModel(*mut c_void);
    mj_makeData(*const c_void) -> *mut c_void;
    /// A copy in new memory where the first is null.
    mj_copyData(*mut c_void, *const c_void, *const c_void) -> *mut c_void;
    mj_deleteData(*mut c_void);
    mj_resetData(*const c_void, *mut c_void);
    mj_forward(*const c_void, *mut c_void);
    mj_kinematics(*const c_void, *mut c_void);
    mj_step(*const c_void, *mut c_void);
    /// Contact forces on bodies, among others.
    mj_rnePostConstraint(*const c_void, *mut c_void);
    /// Works out again what of the model follows from its masses; the data's state becomes that at the start.
    mj_setConst(*mut c_void, *mut c_void);
    mj_stateSize(*const c_void, c_int) -> c_int;
    mj_getState(*const c_void, *const c_void, *mut f64, c_int);
    mj_setState(*const c_void, *mut c_void, *const f64, c_int);
}

/// Parts of a state, as `mj_getState` names them: coordinates and velocities, and controls.
pub(super) const POSITIONS_AND_VELOCITIES: c_int = 1 << 1 | 1 << 2;
/// See [`POSITIONS_AND_VELOCITIES`].
pub(super) const CONTROLS: c_int = 1 << 6;

/// What differs between versions: everything that a state to go on from consists of, and where fields lie in `mjData` and
/// `mjModel`, in bytes, from `offsetof` over the headers of each version's wheel on a machine of 64 bits.
#[derive(Debug)]
pub(super) struct Layout {
    pub version: &'static str,
    /// `mjSTATE_INTEGRATION`.
    pub integration: c_int,
    // mjData
    pub xpos: usize,
    pub xipos: usize,
    pub geom_xpos: usize,
    pub geom_xmat: usize,
    pub cinert: usize,
    pub cvel: usize,
    pub qfrc_actuator: usize,
    pub cfrc_ext: usize,
    // mjModel
    pub geom_type: usize,
    pub geom_bodyid: usize,
    pub geom_size: usize,
    pub actuator_ctrlrange: usize,
}

/// The versions that are known, the newest first.
pub(super) const VERSIONS: &[Layout] = &[
    Layout {
        version: "4.0.0",
        integration: 32767,
        xpos: 160848,
        xipos: 160872,
        geom_xpos: 160912,
        geom_xmat: 160928,
        cinert: 161008,
        cvel: 161296,
        qfrc_actuator: 161424,
        cfrc_ext: 161480,
        geom_type: 2432,
        geom_bodyid: 2464,
        geom_size: 2552,
        actuator_ctrlrange: 5016,
    },
    Layout {
        version: "3.17.0",
        integration: 16383,
        xpos: 160840,
        xipos: 160864,
        geom_xpos: 160896,
        geom_xmat: 160904,
        cinert: 160976,
        cvel: 161280,
        qfrc_actuator: 161408,
        cfrc_ext: 161464,
        geom_type: 2416,
        geom_bodyid: 2448,
        geom_size: 2528,
        actuator_ctrlrange: 4992,
    },
];

/// Sizes of a model, 64 bits each, at the same places in all versions: coordinates, velocities, actuators, bodies.
pub(super) const SIZES: [usize; 4] = [0, 8, 16, 48];
/// Geoms of a model.
pub(super) const GEOMS: usize = 136;
/// Of a model's options: seconds of a step, and gravity (three numbers).
pub(super) const TIMESTEP: usize = 792;
/// See [`TIMESTEP`].
pub(super) const GRAVITY: usize = 848;
/// The bodies' masses, and three moments of inertia of each.
pub(super) const MASS: usize = 1944;
/// See [`MASS`].
pub(super) const INERTIA: usize = 1960;
/// Bytes of the main buffer of `mjData`.
pub(super) const BUFFER: usize = 8;
