//! A model and the data of one body in it, behind safe functions: sizes are checked once, fields are read where the version
//! keeps them.

use std::ffi::{CString, c_char, c_int, c_void};

use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};

use super::body::Facts;
use super::ffi::{
    self, BUFFER, CONTROLS, GEOMS, GRAVITY, INERTIA, MASS, POSITIONS_AND_VELOCITIES, SIZES, TIMESTEP,
};
use super::library::{Library, guarded};
use crate::error::{Error, Result};

/// A compiled model. It is not changed any more once there is data of it.
#[derive(Debug)]
pub(super) struct Model {
    library: Arc<Library>,
    raw: NonNull<c_void>,
    pub geoms: usize,
    pub bodies: usize,
    velocities: usize,
    actuators: usize,
    /// Numbers of coordinates and velocities, and of everything that a step depends on.
    positions_and_velocities: usize,
    integration: usize,
}

// SAFETY: after it is made a model is only read, by the library too.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: it came from this library, and no data of it is left: they hold it.
        unsafe { (self.library.functions.mj_deleteModel)(self.raw.as_ptr()) }
    }
}

/// The field at an offset, a number or a pointer.
///
/// # Safety
/// There is such a field.
unsafe fn field<T: Copy>(base: NonNull<c_void>, offset: usize) -> T {
    // SAFETY: the caller vouches for it.
    unsafe { base.as_ptr().byte_add(offset).cast::<T>().read() }
}

impl Model {
    /// Reads a model, and changes its gravity and masses by these factors.
    ///
    /// # Errors
    /// The file cannot be read, or MuJoCo does not take it (in its words), or what stands in memory where the version is
    /// known to keep sizes, time steps, gravity and bounds is not what `facts` say.
    pub fn load(library: Arc<Library>, facts: &Facts, gravity: f64, mass: f64) -> Result<Model> {
        let path = library.models.join(facts.file);
        // The library's own words for a file that is not there name no file.
        std::fs::metadata(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let broken = |message: String| Error::File {
            path: path.clone(),
            line: None,
            message: message.trim().to_owned(),
        };
        let name =
            CString::new(path.to_string_lossy().as_bytes()).map_err(|error| broken(error.to_string()))?;
        // The library keeps the last model that it read.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let mut said = [0u8; 1000];
        let raw = guarded(|| {
            let (buffer, size) = (said.as_mut_ptr().cast::<c_char>(), said.len() as c_int - 1);
            // SAFETY: a text that ends, no file system of its own, a buffer with its length.
            unsafe { (library.functions.mj_loadXML)(name.as_ptr(), ptr::null(), buffer, size) }
        })?;
        drop(alone);
        let Some(raw) = NonNull::new(raw) else {
            let words = said.split(|byte| *byte == 0).next().unwrap_or_default();
            return Err(broken(format!("MuJoCo refuses it: {}", String::from_utf8_lossy(words))));
        };
        let size = |offset: usize| {
            // SAFETY: sizes stand at these places in every version that is known.
            usize::try_from(unsafe { field::<i64>(raw, offset) }).unwrap_or(usize::MAX)
        };
        let functions = &library.functions;
        let state = |parts: c_int| {
            // SAFETY: a model of this library.
            guarded(|| unsafe { (functions.mj_stateSize)(raw.as_ptr(), parts) })
                .map(|size| size.max(0) as usize)
        };
        let [coordinates, velocities, actuators, bodies] = SIZES.map(size);
        let (positions_and_velocities, controls) = (state(POSITIONS_AND_VELOCITIES)?, state(CONTROLS)?);
        let model = Model {
            geoms: size(GEOMS),
            bodies,
            velocities,
            actuators,
            positions_and_velocities,
            integration: state(library.layout.integration)?,
            raw,
            library,
        };
        let found = [coordinates, velocities, actuators, bodies];
        let whole =
            coordinates.checked_add(velocities) == Some(positions_and_velocities) && controls == actuators;
        if found != facts.sizes || !whole || model.geoms > 1 << 10 {
            return Err(broken(format!(
                "expected {:?} coordinates, velocities, actuators and bodies, and MuJoCo {} gives {found:?}",
                facts.sizes, model.library.layout.version
            )));
        }
        // SAFETY: the sizes are as expected, so that the other fields are where the version keeps them.
        let (timestep, pulls) = unsafe { (field::<f64>(raw, TIMESTEP), field::<[f64; 3]>(raw, GRAVITY)) };
        if timestep != facts.timestep || pulls != [0.0, 0.0, -9.81] || !model.bounded(facts.range) {
            return Err(broken(format!(
                "expected steps of {} s, gravity 0 0 -9.81 and actuators from -{range} to {range}; got {timestep} s and \
                 gravity {pulls:?}",
                facts.timestep,
                range = facts.range
            )));
        }
        model.change(gravity, mass)?;
        Ok(model)
    }

    /// Whether all actuators go from minus `range` to `range`.
    fn bounded(&self, range: f64) -> bool {
        let bounds = self.floats(self.library.layout.actuator_ctrlrange, 2 * self.actuators);
        bounds.chunks(2).all(|ends| ends == [-range, range])
    }

    /// Multiplies gravity, masses and moments of inertia, and has worked out what follows from them.
    fn change(&self, gravity: f64, mass: f64) -> Result<()> {
        if gravity != 1.0 {
            // SAFETY: three numbers stand there (they have been compared), and nobody else knows of the model yet.
            unsafe {
                (*self.raw.as_ptr().byte_add(GRAVITY).cast::<[f64; 3]>())
                    .iter_mut()
                    .for_each(|g| *g *= gravity)
            }
        }
        if mass == 1.0 {
            return Ok(());
        }
        for (offset, numbers) in [(MASS, self.bodies), (INERTIA, 3 * self.bodies)] {
            // SAFETY: as many numbers stand there, and nobody else knows of the model yet.
            unsafe {
                let at = field::<*mut f64>(self.raw, offset);
                std::slice::from_raw_parts_mut(at, numbers).iter_mut().for_each(|number| *number *= mass);
            }
        }
        let functions = &self.library.functions;
        guarded(|| {
            // SAFETY: data of this model, which are made for this and deleted.
            unsafe {
                let data = (functions.mj_makeData)(self.raw.as_ptr());
                if !data.is_null() {
                    (functions.mj_setConst)(self.raw.as_ptr(), data);
                    (functions.mj_deleteData)(data);
                }
            }
        })
    }

    /// Numbers that a field of the model points to.
    fn floats(&self, offset: usize, length: usize) -> &[f64] {
        // SAFETY: the offsets are those of the version, the lengths come from the model's sizes.
        unsafe { slice(field(self.raw, offset), length) }
    }

    fn integers(&self, offset: usize, length: usize) -> &[c_int] {
        // SAFETY: as above.
        unsafe { slice(field(self.raw, offset), length) }
    }

    /// The bodies' masses in kg, the world's first.
    pub fn masses(&self) -> &[f64] {
        self.floats(MASS, self.bodies)
    }

    /// The geoms' kinds, as MuJoCo numbers them, and the bodies that they belong to.
    pub fn geom_kinds(&self) -> (&[c_int], &[c_int]) {
        let layout = self.library.layout;
        (self.integers(layout.geom_type, self.geoms), self.integers(layout.geom_bodyid, self.geoms))
    }

    /// Three sizes of each geom, in metres.
    pub fn geom_sizes(&self) -> &[f64] {
        self.floats(self.library.layout.geom_size, 3 * self.geoms)
    }

    /// The start's coordinates and velocities.
    ///
    /// # Errors
    /// MuJoCo gives up.
    pub fn start(self: &Arc<Self>) -> Result<Vec<f64>> {
        let mut data = Data::new(Arc::clone(self))?;
        data.reset()?;
        Ok(data.moving())
    }
}

/// # Safety
/// So many lie there, or none and `length` is 0.
unsafe fn slice<'a, T>(at: *const T, length: usize) -> &'a [T] {
    if at.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: the caller vouches for it.
    unsafe { std::slice::from_raw_parts(at, length) }
}

/// The data of one body.
#[derive(Debug)]
pub(super) struct Data {
    model: Arc<Model>,
    raw: NonNull<c_void>,
}

// SAFETY: data belong to whoever has them; the library keeps nothing about them elsewhere.
unsafe impl Send for Data {}
// SAFETY: what takes `&self` only reads.
unsafe impl Sync for Data {}

impl Drop for Data {
    fn drop(&mut self) {
        // SAFETY: they came from this library.
        unsafe { (self.functions().mj_deleteData)(self.raw.as_ptr()) }
    }
}

impl Clone for Data {
    fn clone(&self) -> Self {
        let copy = guarded(|| {
            // SAFETY: data of this model; null asks for new memory.
            unsafe { (self.functions().mj_copyData)(ptr::null_mut(), self.model(), self.raw.as_ptr()) }
        });
        match copy.ok().and_then(NonNull::new) {
            Some(raw) => Data { model: Arc::clone(&self.model), raw },
            // As everywhere where memory for a copy is missing.
            None => std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u64; 1 << 16]>()),
        }
    }
}

impl Data {
    /// Data at the model's start.
    ///
    /// # Errors
    /// MuJoCo gives up, for want of memory.
    pub fn new(model: Arc<Model>) -> Result<Data> {
        let functions = &model.library.functions;
        // SAFETY: a model of this library.
        let raw = guarded(|| unsafe { (functions.mj_makeData)(model.raw.as_ptr()) })?;
        match NonNull::new(raw) {
            Some(raw) => Ok(Data { model, raw }),
            None => Err(Error::Usage("the world `mujoco`: no memory for MuJoCo's data".into())),
        }
    }

    fn functions(&self) -> &ffi::Functions {
        &self.model.library.functions
    }

    pub fn model_of(&self) -> &Arc<Model> {
        &self.model
    }

    fn model(&self) -> *mut c_void {
        self.model.raw.as_ptr()
    }

    /// Bytes of the part that is always in use.
    pub fn bytes(&self) -> usize {
        // SAFETY: a 64-bit size stands there in every version that is known.
        usize::try_from(unsafe { field::<i64>(self.raw, BUFFER) }).unwrap_or(0)
    }

    /// Everything as at the model's start.
    ///
    /// # Errors
    /// MuJoCo gives up.
    pub fn reset(&mut self) -> Result<()> {
        // SAFETY: data of this model.
        guarded(|| unsafe { (self.functions().mj_resetData)(self.model(), self.raw.as_ptr()) })
    }

    /// Starts anew from these coordinates and velocities.
    ///
    /// # Errors
    /// MuJoCo gives up.
    pub fn start(&mut self, moving: &[f64]) -> Result<()> {
        self.reset()?;
        self.set(moving, POSITIONS_AND_VELOCITIES, self.model.positions_and_velocities)?;
        // SAFETY: data of this model.
        guarded(|| unsafe { (self.functions().mj_forward)(self.model(), self.raw.as_ptr()) })
    }

    /// Holds these controls for so many steps; then, where `forces`, works out the contact forces on bodies.
    ///
    /// # Errors
    /// MuJoCo gives up.
    pub fn step(&mut self, controls: &[f64], steps: usize, forces: bool) -> Result<()> {
        self.set(controls, CONTROLS, self.model.actuators)?;
        let functions = self.functions();
        guarded(|| {
            for _ in 0..steps {
                // SAFETY: data of this model.
                unsafe { (functions.mj_step)(self.model(), self.raw.as_ptr()) }
            }
            if forces {
                // SAFETY: data of this model.
                unsafe { (functions.mj_rnePostConstraint)(self.model(), self.raw.as_ptr()) }
            }
        })
    }

    fn set(&mut self, numbers: &[f64], parts: c_int, length: usize) -> Result<()> {
        if numbers.len() != length {
            return Err(Error::Usage(format!("mujoco: {} numbers for a state of {length}", numbers.len())));
        }
        // SAFETY: data of this model, and as many numbers as these parts of a state have.
        guarded(|| unsafe {
            (self.functions().mj_setState)(self.model(), self.raw.as_ptr(), numbers.as_ptr(), parts)
        })
    }

    fn get(&self, parts: c_int, length: usize) -> Vec<f64> {
        let mut numbers = vec![0.0; length];
        // SAFETY: data of this model, and room for as many numbers as these parts of a state have.
        unsafe {
            (self.functions().mj_getState)(self.model(), self.raw.as_ptr(), numbers.as_mut_ptr(), parts)
        }
        numbers
    }

    /// Coordinates, then velocities.
    pub fn moving(&self) -> Vec<f64> {
        self.get(POSITIONS_AND_VELOCITIES, self.model.positions_and_velocities)
    }

    /// Everything that the next step depends on.
    pub fn whole(&self) -> Vec<f64> {
        self.get(self.model.library.layout.integration, self.model.integration)
    }

    /// Goes on from what [`Data::whole`] gave.
    ///
    /// # Errors
    /// It is of another length.
    pub fn set_whole(&mut self, numbers: &[f64]) -> Result<()> {
        self.set(numbers, self.model.library.layout.integration, self.model.integration)
    }

    /// Puts geoms and bodies where the coordinates say.
    ///
    /// # Errors
    /// MuJoCo gives up.
    pub fn place(&mut self) -> Result<()> {
        // SAFETY: data of this model.
        guarded(|| unsafe { (self.functions().mj_kinematics)(self.model(), self.raw.as_ptr()) })
    }

    fn floats(&self, offset: usize, length: usize) -> &[f64] {
        // SAFETY: the offsets are those of the version, the lengths come from the model's sizes.
        unsafe { slice(field(self.raw, offset), length) }
    }

    /// Positions of the bodies' frames: three numbers each.
    pub fn frames(&self) -> &[f64] {
        self.floats(self.model.library.layout.xpos, 3 * self.model.bodies)
    }

    /// Centres of mass: three numbers each.
    pub fn centres(&self) -> &[f64] {
        self.floats(self.model.library.layout.xipos, 3 * self.model.bodies)
    }

    /// Inertias about the centre of mass: ten numbers each.
    pub fn inertias(&self) -> &[f64] {
        self.floats(self.model.library.layout.cinert, 10 * self.model.bodies)
    }

    /// Velocities about the centre of mass: six numbers each.
    pub fn velocities(&self) -> &[f64] {
        self.floats(self.model.library.layout.cvel, 6 * self.model.bodies)
    }

    /// Forces of actuators on the joints' velocities.
    pub fn actuator_forces(&self) -> &[f64] {
        self.floats(self.model.library.layout.qfrc_actuator, self.model.velocities)
    }

    /// Contact forces on bodies: six numbers each.
    pub fn contact_forces(&self) -> &[f64] {
        self.floats(self.model.library.layout.cfrc_ext, 6 * self.model.bodies)
    }

    /// Middles of geoms, three numbers each, and their turns, nine each, row by row.
    pub fn geoms(&self) -> (&[f64], &[f64]) {
        let layout = self.model.library.layout;
        (
            self.floats(layout.geom_xpos, 3 * self.model.geoms),
            self.floats(layout.geom_xmat, 9 * self.model.geoms),
        )
    }
}
