//! A trained team in programs written in C, C++, or anything that can call C. `include/synod.h` is made of this file.
//!
//! - A `synod_team` is what a file holds. It does not change: any number of threads may make sessions of it at once.
//! - A `synod_session` is a team at work in some worlds, with what its agents remember. One thread at a time.
//! - Functions return a status. After one that is not `SYNOD_OK`, `synod_last_error` has the words, for this thread.
//! - Nothing panics through to the caller, keeps global state or starts a thread.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use synod::door::{Memory, Seen, Team};
use synod::{Device, Error};

/// The version of this interface: a program must refuse a library of another one. It grows when a function or a structure
/// changes so that programs compiled before do not fit any more.
pub const SYNOD_ABI_VERSION: u32 = 1;

/// All went well.
pub const SYNOD_OK: c_int = 0;
/// An argument makes no sense: a null pointer, an array of another length, an observation that is no number.
pub const SYNOD_ERROR_ARGUMENT: c_int = 1;
/// A file is missing, cut short, damaged, or no exported team.
pub const SYNOD_ERROR_FILE: c_int = 2;
/// The device is missing, or lacks something.
pub const SYNOD_ERROR_DEVICE: c_int = 3;
/// The team cannot do what was asked: it does not take so many agents, say, or its action is no number.
pub const SYNOD_ERROR_TEAM: c_int = 4;
/// A fault of synod itself, which ought to be reported. What was being worked on can only be freed.
pub const SYNOD_ERROR_INTERNAL: c_int = 5;

/// Sizes of a shape in `synod_sizes`, at most.
pub const SYNOD_MOST_AXES: usize = 8;

/// A trained team.
#[allow(non_camel_case_types)]
pub struct synod_team {
    team: Team,
    description: String,
}

/// A team at work in some worlds.
#[allow(non_camel_case_types)]
pub struct synod_session {
    team: Team,
    memory: Memory,
}

/// Sizes of the arrays by which a team is spoken to.
#[allow(non_camel_case_types)]
#[repr(C)]
pub struct synod_sizes {
    /// Agents of a world in training.
    pub agents: usize,
    /// Numbers that an agent is shown at each step.
    pub observation: usize,
    /// Axes of what an agent is shown.
    pub observation_axes: usize,
    /// Their sizes. Their product is larger than `observation` where agents are also shown what they did last: the session adds
    /// that.
    pub observation_shape: [usize; SYNOD_MOST_AXES],
    /// Options of all discrete choices together, which is the length of an agent's mask.
    pub options: usize,
    /// Whether options were at times forbidden in training: 1 or 0.
    pub masked: c_int,
    /// Discrete choices of an agent.
    pub integers: usize,
    /// Continuous actions of an agent.
    pub floats: usize,
}

/// What agents see at one step, and where what they do is written. Arrays have worlds first, then agents, then numbers, row
/// after row. Lengths are in elements.
#[allow(non_camel_case_types)]
#[repr(C)]
pub struct synod_step {
    /// `[worlds, agents, observation]`.
    pub observations: *const f32,
    /// Elements of `observations`.
    pub observations_length: usize,
    /// `[worlds, agents, options]`: 1 where an option is allowed, else 0. Null: all are.
    pub masks: *const f32,
    /// Elements of `masks`.
    pub masks_length: usize,
    /// `[worlds, agents]`: 0 where an agent is not in its world, else 1. Null: all are.
    pub present: *const u8,
    /// Elements of `present`.
    pub present_length: usize,
    /// Not 0: the most probable action of every agent, else what they did in training, which may be to draw one.
    pub greedy: c_int,
    /// `[worlds, agents, integers]`, written. Null where there are none.
    pub discrete: *mut u32,
    /// Elements of `discrete`.
    pub discrete_length: usize,
    /// `[worlds, agents, floats]`, written. Null where there are none.
    pub continuous: *mut f32,
    /// Elements of `continuous`.
    pub continuous_length: usize,
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// What a function returns beside its words.
struct Fault(c_int, String);

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::File { .. } | Error::Io { .. } => SYNOD_ERROR_FILE,
            Error::Device { .. } | Error::Limit { .. } => SYNOD_ERROR_DEVICE,
            Error::Usage(_) | Error::Config { .. } => SYNOD_ERROR_ARGUMENT,
            _ => SYNOD_ERROR_TEAM,
        };
        Fault(status, error.to_string())
    }
}

fn argument<T>(words: impl Into<String>) -> Result<T, Fault> {
    Err(Fault(SYNOD_ERROR_ARGUMENT, words.into()))
}

/// Runs what a function does, and makes a status of how it ended.
fn guarded(work: impl FnOnce() -> Result<(), Fault>) -> c_int {
    let ended = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
        Err(Fault(SYNOD_ERROR_INTERNAL, format!("a fault of synod: {words}")))
    });
    let Fault(status, words) = ended.err().unwrap_or(Fault(SYNOD_OK, String::new()));
    let words = CString::new(words.replace('\0', " ")).unwrap_or_default();
    // A thread that is ending has no place for them any more.
    let _ = LAST.try_with(|last| *last.borrow_mut() = words);
    status
}

/// The elements of a caller's array; none of a null pointer.
///
/// # Safety
/// A pointer that is not null has so many elements, which nobody changes for as long as they are used.
unsafe fn elements<'a, T>(what: &str, from: *const T, length: usize) -> Result<Option<&'a [T]>, Fault> {
    if from.is_null() {
        return Ok(None);
    }
    if !from.is_aligned() || length > isize::MAX as usize / size_of::<T>().max(1) {
        return argument(format!("`{what}` is no array of {length} elements"));
    }
    // SAFETY: as the caller promises, and it can be one.
    Ok(Some(unsafe { slice::from_raw_parts(from, length) }))
}

/// Checks that a caller's array for results has the right length: before anything happens, since a step that was made and
/// could not be told would be lost.
fn room<T>(what: &str, to: *mut T, length: usize, expected: usize) -> Result<(), Fault> {
    let given = if expected > 0 && (to.is_null() || !to.is_aligned()) { 0 } else { length };
    if length != expected || given != expected {
        return argument(format!("`{what}` has room for {given} elements, expected {expected}"));
    }
    Ok(())
}

/// The version of the library's interface, to be compared with `SYNOD_ABI_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn synod_abi_version() -> u32 {
    SYNOD_ABI_VERSION
}

/// Why the last function that this thread called did not end well; an empty text where it did. Good until the next call.
#[unsafe(no_mangle)]
pub extern "C" fn synod_last_error() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

fn opened(team: Team) -> *mut synod_team {
    let description = team.describe();
    Box::into_raw(Box::new(synod_team { team, description }))
}

fn device(name: &CStr) -> Result<Device, Fault> {
    let name = name.to_str().map_err(|_| Fault(SYNOD_ERROR_ARGUMENT, "a device's name is UTF-8".into()))?;
    Ok(Device::by_name(name)?)
}

/// Reads the team of a file that `synod export` wrote, or of a run's folder. `device` is `cpu`, `gpu` or `auto` (a GPU
/// where there is one); null: the CPU. To be freed by `synod_team_free`.
///
/// # Safety
/// `path` and `device` are texts that end with a zero, or null; `team` has room for a pointer, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn synod_team_load(
    path: *const c_char,
    device: *const c_char,
    team: *mut *mut synod_team,
) -> c_int {
    guarded(|| {
        if path.is_null() || team.is_null() {
            return argument("`path` or `team` is null");
        }
        // SAFETY: neither is null, and the caller promises the rest.
        let path = unsafe {
            team.write(std::ptr::null_mut());
            CStr::from_ptr(path)
        };
        let path = path.to_str().map_err(|_| Fault(SYNOD_ERROR_ARGUMENT, "a path is UTF-8".into()))?;
        // SAFETY: as the caller promises.
        let device = unsafe { device_of(device)? };
        let loaded = opened(Team::load_on(&device, path)?);
        // SAFETY: not null, and with room for a pointer.
        unsafe { team.write(loaded) };
        Ok(())
    })
}

/// The device of that name; the CPU where it is null.
///
/// # Safety
/// `name` is a text that ends with a zero, or null.
unsafe fn device_of(name: *const c_char) -> Result<Device, Fault> {
    match name.is_null() {
        true => Ok(Device::cpu()),
        // SAFETY: as the caller promises.
        false => device(unsafe { CStr::from_ptr(name) }),
    }
}

/// As `synod_team_load`, of the content of such a file. The bytes can be freed afterwards.
///
/// # Safety
/// `bytes` has so many bytes, or is null; `device` and `team` as there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn synod_team_load_bytes(
    bytes: *const u8,
    length: usize,
    device: *const c_char,
    team: *mut *mut synod_team,
) -> c_int {
    guarded(|| {
        if team.is_null() {
            return argument("`team` is null");
        }
        // SAFETY: not null, and with room for a pointer; the rest as the caller promises.
        let (content, device) = unsafe {
            team.write(std::ptr::null_mut());
            (elements("bytes", bytes, length)?, device_of(device)?)
        };
        let Some(content) = content else { return argument("`bytes` is null") };
        let loaded = opened(Team::from_bytes(&device, content)?);
        // SAFETY: not null, and with room for a pointer.
        unsafe { team.write(loaded) };
        Ok(())
    })
}

/// Frees a team; its sessions live on. Null is no fault. A team must not be used afterwards.
///
/// # Safety
/// `team` is of `synod_team_load` or `synod_team_load_bytes` and was not freed, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn synod_team_free(team: *mut synod_team) {
    if !team.is_null() {
        // SAFETY: it came from a box, and the caller promises that it is freed once.
        guarded(|| Ok(drop(unsafe { Box::from_raw(team) })));
    }
}

/// The sizes of the arrays by which a team is spoken to.
///
/// # Safety
/// `team` is a team that was not freed, `sizes` has room for one such structure; either may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn synod_team_sizes(team: *const synod_team, sizes: *mut synod_sizes) -> c_int {
    guarded(|| {
        // SAFETY: a pointer that is not null is a team's.
        let Some(synod_team { team, .. }) = (unsafe { team.as_ref() }) else {
            return argument("`team` is null");
        };
        if sizes.is_null() {
            return argument("`sizes` is null");
        }
        let (kind, space) = (team.kind(), &team.kind().actions);
        let mut observation_shape = [0; SYNOD_MOST_AXES];
        let Some(shape) = observation_shape.get_mut(..kind.observation.len()) else {
            return argument(format!("what agents see has more than {SYNOD_MOST_AXES} axes"));
        };
        shape.copy_from_slice(&kind.observation);
        let all = synod_sizes {
            agents: team.agents(),
            observation: team.observation_size(),
            observation_axes: kind.observation.len(),
            observation_shape,
            options: space.options(),
            masked: c_int::from(team.masked()),
            integers: space.integers(),
            floats: space.floats(),
        };
        // SAFETY: not null, and the caller promises room.
        unsafe { sizes.write(all) };
        Ok(())
    })
}

/// What there is to know of a team, as JSON: where it comes from, its kinds of agents, what each sees and can do. The text
/// and its zero at the end are written where `capacity` is enough for both; `needed`, unless it is null, gets that number in
/// any case, so that a first call with a capacity of 0 asks for it.
///
/// # Safety
/// `team` is a team that was not freed, `text` has room for `capacity` bytes, `needed` for a number; any may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn synod_team_describe(
    team: *const synod_team,
    text: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> c_int {
    guarded(|| {
        // SAFETY: a pointer that is not null is a team's.
        let Some(team) = (unsafe { team.as_ref() }) else { return argument("`team` is null") };
        let bytes = team.description.as_bytes();
        if !needed.is_null() {
            // SAFETY: not null, and the caller promises room.
            unsafe { needed.write(bytes.len() + 1) };
        }
        if text.is_null() || capacity <= bytes.len() {
            let asked = capacity == 0 && !needed.is_null();
            return if asked { Ok(()) } else { argument(format!("`text` needs {} bytes", bytes.len() + 1)) };
        }
        // SAFETY: there is room for the text and the zero, as the caller promises.
        unsafe {
            text.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            text.add(bytes.len()).write(0);
        }
        Ok(())
    })
}

/// Puts a team to work in so many worlds, all of which begin. `agents` is the number of agents in each: 0 for as many as in
/// training; another number where the network takes it. The same seed, and the same things seen, give the same actions. To be
/// freed by `synod_session_free`.
///
/// # Safety
/// `team` is a team that was not freed, `session` has room for a pointer; either may be null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn synod_session_new(
    team: *const synod_team,
    worlds: usize,
    agents: usize,
    seed: u64,
    session: *mut *mut synod_session,
) -> c_int {
    guarded(|| {
        if session.is_null() {
            return argument("`session` is null");
        }
        // SAFETY: not null, and with room for a pointer; a team's pointer that is not null is a team's.
        let team = unsafe {
            session.write(std::ptr::null_mut());
            team.as_ref()
        };
        let Some(synod_team { team, .. }) = team else { return argument("`team` is null") };
        let mut memory = team.memory_of(worlds, if agents == 0 { team.agents() } else { agents })?;
        memory.reseed(seed);
        let made = Box::into_raw(Box::new(synod_session { team: team.clone(), memory }));
        // SAFETY: as above.
        unsafe { session.write(made) };
        Ok(())
    })
}

/// Frees a session. Null is no fault. A session must not be used afterwards.
///
/// # Safety
/// `session` is of `synod_session_new` and was not freed, or is null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn synod_session_free(session: *mut synod_session) {
    if !session.is_null() {
        // SAFETY: it came from a box, and the caller promises that it is freed once.
        guarded(|| Ok(drop(unsafe { Box::from_raw(session) })));
    }
}

/// Agents begin anew at the next step: those with a mark that is not 0 in `which`, `[worlds, agents]`; all where it is null.
///
/// # Safety
/// `session` is a session that was not freed and that nobody else uses meanwhile, or null; `which` has so many bytes, or is
/// null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn synod_session_reset(
    session: *mut synod_session,
    which: *const u8,
    length: usize,
) -> c_int {
    guarded(|| {
        // SAFETY: as the caller promises.
        let (session, which) = unsafe { (session.as_mut(), elements("which", which, length)?) };
        let Some(synod_session { memory, .. }) = session else { return argument("`session` is null") };
        let Some(which) = which else { return Ok(memory.forget()) };
        let [worlds, agents] = memory.sizes();
        if which.len() != worlds * agents {
            return argument(format!("`which` has {} marks, expected {}", which.len(), worlds * agents));
        }
        let marked = which.iter().enumerate().filter(|(_, mark)| **mark != 0);
        for (at, _) in marked {
            memory.forget_agent(at / agents, at % agents)?;
        }
        Ok(())
    })
}

/// Shows all agents what they see, and writes what they do. Where this fails, the session is as it was, and nothing or
/// anything may have been written.
///
/// # Safety
/// `session` is a session that was not freed and that nobody else uses meanwhile, or null; `step` is such a structure, or null;
/// its arrays have the lengths that it says, or are null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn synod_session_act(session: *mut synod_session, step: *const synod_step) -> c_int {
    guarded(|| {
        // SAFETY: as the caller promises.
        let (Some(session), Some(step)) = (unsafe { (session.as_mut(), step.as_ref()) }) else {
            return argument("`session` or `step` is null");
        };
        let synod_session { team, memory } = session;
        // SAFETY: as the caller promises.
        let (observations, masks, present) = unsafe {
            (
                elements("observations", step.observations, step.observations_length)?,
                elements("masks", step.masks, step.masks_length)?,
                elements("present", step.present, step.present_length)?,
            )
        };
        let lanes = memory.sizes().iter().product::<usize>();
        let space = &team.kind().actions;
        room("discrete", step.discrete, step.discrete_length, lanes * space.integers())?;
        room("continuous", step.continuous, step.continuous_length, lanes * space.floats())?;
        let present: Option<Vec<bool>> = present.map(|marks| marks.iter().map(|mark| *mark != 0).collect());
        let seen =
            Seen { observations: observations.unwrap_or_default(), masks, present: present.as_deref() };
        let actions =
            if step.greedy == 0 { team.act(seen, memory)? } else { team.act_greedily(seen, memory)? };
        // SAFETY: there is room, as the caller promises, and the lengths are right; an empty row may go to a null pointer.
        unsafe {
            step.discrete.copy_from_nonoverlapping(actions.discrete.as_ptr(), actions.discrete.len());
            step.continuous.copy_from_nonoverlapping(actions.continuous.as_ptr(), actions.continuous.len());
        }
        Ok(())
    })
}
