//! Where the library and the models may be.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The environment variable that names a folder with both.
pub(super) const VARIABLE: &str = "SYNOD_MUJOCO";

/// A place to look in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub folder: PathBuf,
    /// Who named it.
    pub from: &'static str,
}

/// Where to look, the first first: in `folder` alone where it is given, else where the environment variable says alone,
/// else beside the packages of `python3`.
pub(super) fn candidates(folder: &Path) -> Vec<Candidate> {
    if !folder.as_os_str().is_empty() {
        return vec![Candidate { folder: folder.into(), from: "world.folder" }];
    }
    if let Some(folder) = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        return vec![Candidate { folder: folder.into(), from: VARIABLE }];
    }
    let of_python = |folder: &PathBuf| Candidate { folder: folder.clone(), from: "the packages of python3" };
    packages().iter().map(of_python).collect()
}

/// Folders in which `python3` looks for packages, asked once.
fn packages() -> &'static [PathBuf] {
    static FOLDERS: OnceLock<Vec<PathBuf>> = OnceLock::new();
    FOLDERS.get_or_init(|| {
        let python = if cfg!(windows) { "python" } else { "python3" };
        let asked = Command::new(python)
            .args(["-c", "import sys; print('\\n'.join(sys.path))"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let Ok(answer) = asked else { return Vec::new() };
        let lines = String::from_utf8_lossy(&answer.stdout).into_owned();
        lines.lines().filter(|line| !line.trim().is_empty()).map(PathBuf::from).collect()
    })
}

/// The library in a folder, or in one of the folders below it where wheels and releases keep it. Of several the one whose
/// name comes last.
pub(super) fn library_in(folder: &Path) -> Option<PathBuf> {
    ["mujoco", "", "lib", "bin"].iter().find_map(|below| {
        let mut found: Vec<PathBuf> = std::fs::read_dir(folder.join(below))
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(|name| is_library(&name.to_string_lossy())))
            .collect();
        found.sort();
        found.pop()
    })
}

fn is_library(name: &str) -> bool {
    name.starts_with("libmujoco.so") || name == "mujoco.dll" || is_dylib(name)
}

fn is_dylib(name: &str) -> bool {
    name.starts_with("libmujoco.") && name.ends_with(".dylib")
}

/// The folder of Gymnasium's models below another, or that folder itself where the models lie in it.
pub(super) fn models_in(folder: &Path) -> Option<PathBuf> {
    ["gymnasium/envs/mujoco/assets", "assets", ""]
        .iter()
        .map(|below| folder.join(below))
        .find(|models| models.join("half_cheetah.xml").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_library_on_every_system() {
        for name in ["libmujoco.so.4.0.0", "libmujoco.so", "mujoco.dll", "libmujoco.4.0.0.dylib"] {
            assert!(is_library(name), "{name}");
        }
        for name in ["libmujoco_studio.so", "mujoco.py", "libmujoco.a"] {
            assert!(!is_library(name), "{name}");
        }
    }

    #[test]
    fn a_folder_that_is_named_is_the_only_one() {
        let named = candidates(Path::new("/nowhere"));
        assert_eq!(named, [Candidate { folder: "/nowhere".into(), from: "world.folder" }]);
        assert_eq!((library_in(Path::new("/nowhere")), models_in(Path::new("/nowhere"))), (None, None));
    }
}
