//! The library, loaded: found, of a version that is known, its errors turned into ours.

use std::any::Any;
use std::collections::HashMap;
use std::ffi::{CStr, c_char};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::ffi::{Functions, Layout, VERSIONS};
use super::place::{self, Candidate};
use crate::error::{Error, Result};

/// The library of one file.
pub(super) struct Library {
    pub functions: Functions,
    pub layout: &'static Layout,
    /// Gymnasium's models.
    pub models: PathBuf,
    file: PathBuf,
    from: &'static str,
    // What the functions belong to; unloaded after them.
    _library: libloading::Library,
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (version, file) = (self.layout.version, self.file.display());
        write!(f, "MuJoCo {version} at {file} (from {}), models in {}", self.from, self.models.display())
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Library({self})")
    }
}

/// What to do where something is missing.
fn how() -> String {
    let version = VERSIONS[0].version;
    format!(
        "install both with `pip install mujoco=={version} gymnasium==1.4.0` for python3; or download them with `pip download \
         --no-deps mujoco-core=={version} gymnasium==1.4.0`, unpack the two .whl files (they are zip archives) into one \
         folder and set {} to it",
        place::VARIABLE
    )
}

fn fault(message: impl fmt::Display) -> Error {
    Error::Usage(format!("the world `mujoco`: {message}"))
}

/// How the system's loader calls the library.
const PLAIN: &str = if cfg!(windows) {
    "mujoco.dll"
} else if cfg!(target_os = "macos") {
    "libmujoco.dylib"
} else {
    "libmujoco.so"
};

impl Library {
    /// The library that worlds with this `folder` use; the same one whenever it is the same file.
    ///
    /// # Errors
    /// There is none, or none with models, or it is of a version that is not known.
    pub fn find(folder: &Path) -> Result<Arc<Library>> {
        let candidates = place::candidates(folder);
        let looked_in = |what: &str| {
            let named: Vec<String> = candidates
                .iter()
                .filter(|candidate| candidate.from != "the packages of python3")
                .map(|candidate| format!("{} ({})", candidate.folder.display(), candidate.from))
                .collect();
            let places = match named.is_empty() {
                true => "beside the packages of python3 nor where the system keeps libraries".to_owned(),
                false => format!("in {}", named.join(", ")),
            };
            fault(format!("{what} is not found {places}; {}", how()))
        };
        let of_system = Candidate { folder: PathBuf::new(), from: "the system's loader" };
        let found = candidates.iter().find_map(|at| Some((place::library_in(&at.folder)?, at)));
        let named = candidates.first().is_some_and(|at| at.from != "the packages of python3");
        let (file, at) = match found {
            Some((file, at)) => (file, at),
            None if named => return Err(looked_in("the library MuJoCo")),
            None => (PathBuf::from(PLAIN), &of_system),
        };
        let models = candidates.iter().find_map(|at| place::models_in(&at.folder));
        static LOADED: Mutex<Option<HashMap<PathBuf, Arc<Library>>>> = Mutex::new(None);
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = loaded.get_or_insert_default();
        if let Some(library) = loaded.get(&file) {
            return Ok(Arc::clone(library));
        }
        // SAFETY: a library that somebody named, or that carries MuJoCo's name, is run as such.
        let library = match unsafe { libloading::Library::new(&file) } {
            Ok(library) => library,
            Err(_) if at.from == of_system.from => return Err(looked_in("the library MuJoCo")),
            Err(error) => return Err(fault(format!("{} cannot be loaded: {error}", file.display()))),
        };
        let models = models.ok_or_else(|| looked_in("half_cheetah.xml of gymnasium"))?;
        let library = Arc::new(Library::new(library, file.clone(), at.from, models)?);
        loaded.insert(file, Arc::clone(&library));
        Ok(library)
    }

    fn new(
        library: libloading::Library,
        file: PathBuf,
        from: &'static str,
        models: PathBuf,
    ) -> Result<Library> {
        let broken = |error: libloading::Error| fault(format!("{}: {error}", file.display()));
        // SAFETY: every version has this function, without arguments; its text is never freed.
        let version = unsafe {
            let version = library
                .get::<unsafe extern "C" fn() -> *const c_char>(b"mj_versionString\0")
                .map_err(broken)?;
            CStr::from_ptr(version()).to_string_lossy().into_owned()
        };
        let Some(layout) = VERSIONS.iter().find(|layout| layout.version == version) else {
            let known: Vec<&str> = VERSIONS.iter().map(|layout| layout.version).collect();
            return Err(fault(format!(
                "{} is MuJoCo {version}; the versions whose structures are known are {}; {}",
                file.display(),
                known.join(" and "),
                how()
            )));
        };
        // SAFETY: the version is one whose functions have these arguments. The two variables are pointers to functions with
        // one text, which are set before anything else is called.
        let functions = unsafe {
            let functions = Functions::of(&library).map_err(broken)?;
            for (name, handler) in
                [(&b"mju_user_error\0"[..], on_error as Handler), (b"mju_user_warning\0", on_warning)]
            {
                let variable: *mut Option<Handler> = *library.get(name).map_err(broken)?;
                *variable = Some(handler);
            }
            functions
        };
        Ok(Library { functions, layout, models, file, from, _library: library })
    }
}

type Handler = unsafe extern "C-unwind" fn(*const c_char);

/// What the library says when it gives up.
struct Complaint(String);

/// Without a handler of its own the library would write a file and end the process.
unsafe extern "C-unwind" fn on_error(message: *const c_char) {
    resume_unwind(Box::new(Complaint(text(message))));
}

/// Without a handler of its own the library would write a file.
unsafe extern "C-unwind" fn on_warning(message: *const c_char) {
    let message = text(message);
    // Gymnasium's models are as they are.
    if message.contains("deprecated") {
        tracing::debug!("MuJoCo: {message}");
    } else {
        tracing::warn!("MuJoCo: {message}");
    }
}

fn text(message: *const c_char) -> String {
    if message.is_null() {
        return "no reason given".into();
    }
    // SAFETY: the library hands over a text that ends.
    unsafe { CStr::from_ptr(message) }.to_string_lossy().trim().to_owned()
}

/// Calls the library; what it gives up with becomes an error.
///
/// # Errors
/// The library's own words.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|thrown: Box<dyn Any + Send>| {
        match thrown.downcast::<Complaint>() {
            Ok(complaint) => fault(format!("MuJoCo gave up: {}", complaint.0)),
            Err(other) => resume_unwind(other),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_become_errors_and_other_panics_go_on() {
        assert_eq!(guarded(|| 3).unwrap(), 3);
        let complaint = c"stack overflow";
        // SAFETY: a text that ends.
        let error = guarded(|| unsafe { on_error(complaint.as_ptr()) }).unwrap_err().to_string();
        assert!(error.contains("MuJoCo gave up: stack overflow"), "{error}");
        let other = catch_unwind(|| guarded(|| resume_unwind(Box::new(5))));
        assert_eq!(other.unwrap_err().downcast_ref::<i32>(), Some(&5));
    }

    /// A state of parts that do not exist is what the library gives up on at once; it comes back through its own frames.
    #[test]
    fn the_library_gives_up_without_ending_the_process() {
        let Some(versions) = std::env::var_os("SYNOD_MUJOCO_VERSIONS") else {
            assert!(std::env::var_os("CI").is_none(), "in CI SYNOD_MUJOCO_VERSIONS must be set");
            return println!("SKIPPED: SYNOD_MUJOCO_VERSIONS names no libraries");
        };
        for layout in VERSIONS {
            let library = Library::find(&Path::new(&versions).join(layout.version)).unwrap();
            let name =
                std::ffi::CString::new(library.models.join("ant.xml").to_string_lossy().as_bytes()).unwrap();
            let functions = &library.functions;
            // SAFETY: a model's file, no buffer for words; the model is deleted after its last use.
            unsafe {
                let model = (functions.mj_loadXML)(name.as_ptr(), std::ptr::null(), std::ptr::null_mut(), 0);
                assert!(!model.is_null());
                for _ in 0..3 {
                    let error = guarded(|| (functions.mj_stateSize)(model, -1)).unwrap_err().to_string();
                    assert!(error.contains("MuJoCo gave up") && error.contains("state"), "{error}");
                }
                assert_eq!(guarded(|| (functions.mj_stateSize)(model, 1 << 1)).unwrap(), 15);
                (functions.mj_deleteModel)(model);
            }
        }
    }

    #[test]
    fn a_folder_without_it_is_named_with_what_to_do() {
        let error = Library::find(Path::new("/nowhere")).unwrap_err().to_string();
        for part in ["/nowhere", "world.folder", "pip install mujoco==4.0.0 gymnasium==1.4.0", "SYNOD_MUJOCO"]
        {
            assert!(error.contains(part), "{error}");
        }
    }
}
