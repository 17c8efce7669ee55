//! The folder of a run and the one way in which its files are replaced.
//!
//! ```text
//! runs/bottleneck-7/
//!   config.toml                       complete, runnable again
//!   metrics.csv                       one row a logging interval
//!   events/events.out.tfevents.*      the same for TensorBoard
//!   checkpoint.safetensors            the latest state
//!   checkpoint.previous.safetensors   the one before
//!   best.safetensors                  what acted in the best evaluation, where the run is evaluated as it trains
//!   checkpoint.damaged.safetensors    a latest state that could not be read, where a run went on from the one before
//!   plots/*.svg                       learning curves
//! ```
//!
//! The process that writes there holds the folder open and locked.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::directory::{Directory, How, PARTIAL, Staged, make_folders, parent_of};
use crate::error::{Error, Result};

/// The latest checkpoint's name in a run's folder.
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";
/// The name of what acted in the best evaluation.
pub(super) const BEST: &str = "best.safetensors";
/// Where a damaged one is kept once the one before it has taken its place.
pub(super) const DAMAGED: &str = "checkpoint.damaged.safetensors";
/// The lock of a folder that cannot be locked itself.
const LOCK: &str = "lock";

/// A run folder that this process alone writes to, until the value is dropped. It is held open, not by its name: where
/// it is moved to, its files go too.
#[derive(Debug)]
pub struct Folder {
    directory: Directory,
    _lock: Option<File>,
}

impl Folder {
    /// Makes a new run folder (and its parents) that holds `config` as `config.toml`. A folder that holds nothing but
    /// what a killed process left before it was a run is taken over.
    ///
    /// # Errors
    /// [`Error::Usage`] where something of that name exists, in which case nothing is written; [`Error::Io`] where
    /// the folder cannot be made.
    pub fn create(path: impl AsRef<Path>, config: &str) -> Result<Folder> {
        let path = path.as_ref();
        let parent = parent_of(path);
        make_folders(parent)?;
        require_free(path)?;
        match fs::create_dir(path) {
            Ok(()) => Directory::open(parent)?.sync(),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io(path, e)),
        }
        let directory = Directory::open(path)?;
        let folder = Folder { _lock: lock(&directory)?, directory };
        // Of several processes that race for the name one has the lock first; the others find its run.
        require_free(path)?;
        folder.directory.remove_partial();
        folder.write_config(config)?;
        Ok(folder)
    }

    /// Opens the folder of an earlier run to go on with it.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is missing, is no run folder, or is being written to by another process.
    pub fn open(path: impl AsRef<Path>) -> Result<Folder> {
        let path = path.as_ref();
        require_run(path)?;
        let directory = Directory::open(path)?;
        let folder = Folder { _lock: lock(&directory)?, directory };
        // Holding the lock, so nobody is writing what is half written.
        folder.directory.remove_partial();
        for inside in ["plots", "events"] {
            if let Ok(inside) = folder.directory.open_inside(inside) {
                inside.remove_partial();
            }
        }
        Ok(folder)
    }

    /// The folder under the name by which it was opened.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The folder itself.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// `config.toml`
    pub fn config(&self) -> PathBuf {
        config_of(self.path())
    }

    /// Replaces `config.toml`.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn write_config(&self, config: &str) -> Result<()> {
        self.directory.write("config.toml", |file| file.write_all(config.as_bytes()))
    }

    /// `metrics.csv`
    pub fn metrics(&self) -> PathBuf {
        self.path().join("metrics.csv")
    }

    /// `events/`, where TensorBoard looks.
    pub fn events(&self) -> PathBuf {
        self.path().join("events")
    }

    /// `checkpoint.safetensors`
    pub fn checkpoint(&self) -> PathBuf {
        checkpoint_of(self.path())
    }

    /// `plots/`
    pub fn plots(&self) -> PathBuf {
        self.path().join("plots")
    }
}

/// The configuration of the run in `path`, for readers that take no lock.
pub fn config_of(path: &Path) -> PathBuf {
    path.join("config.toml")
}

/// The latest checkpoint of the run in `path`, for readers that take no lock.
pub fn checkpoint_of(path: &Path) -> PathBuf {
    path.join(CHECKPOINT)
}

/// The checkpoint that a path means: a run's latest where it is a folder, otherwise that file.
pub fn checkpoint_at(path: &Path) -> PathBuf {
    if path.is_dir() { checkpoint_of(path) } else { path.to_path_buf() }
}

/// What acted in the best evaluation of the run in `path`.
///
/// # Errors
/// [`Error::Usage`] where it was never evaluated while it trained.
pub fn require_best(path: &Path) -> Result<PathBuf> {
    let best = path.join(BEST);
    match best.is_file() {
        true => Ok(best),
        false => Err(Error::Usage(format!(
            "{} has no {BEST}: it was not evaluated while it trained (eval_every, eval_episodes)",
            path.display()
        ))),
    }
}

/// Checks that `path` is the folder of a run.
///
/// # Errors
/// [`Error::Usage`] where it is missing or is something else.
pub fn require_run(path: &Path) -> Result<()> {
    let fault = if !path.exists() {
        "does not exist"
    } else if !path.is_dir() {
        "is not a folder"
    } else if !config_of(path).is_file() {
        "is not the folder of a run (it has no config.toml)"
    } else {
        return Ok(());
    };
    Err(Error::Usage(format!("{} {fault}", path.display())))
}

/// Checks that a run can be made in `path`: there is nothing of that name, or a folder with nothing in it but what a
/// process leaves that is killed before the folder is a run.
///
/// # Errors
/// [`Error::Usage`] where something else is there.
pub fn require_free(path: &Path) -> Result<()> {
    let leftover = |name: &std::ffi::OsStr| name == LOCK || name.to_string_lossy().starts_with(PARTIAL);
    let free = match fs::read_dir(path) {
        Ok(entries) => entries.into_iter().all(|entry| entry.is_ok_and(|e| leftover(&e.file_name()))),
        Err(e) => e.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err(),
    };
    if free {
        return Ok(());
    }
    let go_on = match config_of(path).is_file() {
        true => format!(", or go on with it: --resume {}", shell_quoted(path)),
        false => String::new(),
    };
    Err(Error::Usage(format!(
        "{} exists, and nothing in it was touched; name another folder with --out{go_on}",
        path.display()
    )))
}

/// How often a lock that another process holds is tried again.
const PATIENCE: usize = 5;

/// Takes the lock of a run folder. The operating system lets go of it when the process ends, however it ends. The folder
/// itself is locked, so that no file that can be removed stands for it; where the system has no such locks, a file is.
fn lock(directory: &Directory) -> Result<Option<File>> {
    let busy = || {
        Error::Usage(format!(
            "another process is writing to {}; wait for it or stop it first",
            directory.path().display()
        ))
    };
    let folder = directory.handle().map(|handle| {
        // What another thread starts has the folder open too for the moment that it takes to become another program.
        let mut tried = handle.try_lock();
        for _ in 0..PATIENCE {
            if !matches!(tried, Err(TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
            tried = handle.try_lock();
        }
        tried
    });
    match folder {
        Some(Ok(())) => return Ok(None),
        Some(Err(TryLockError::WouldBlock)) => return Err(busy()),
        Some(Err(TryLockError::Error(_))) | None => {}
    }
    let io = |e| Error::io(directory.join(LOCK), e);
    let file = directory.file(LOCK, How::Create).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(busy()),
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {
            tracing::warn!("{} is on a file system without locks", directory.path().display());
        }
        Err(TryLockError::Error(e)) => return Err(io(e)),
    }
    Ok(Some(file))
}

/// Replaces a file in one step, as [`Directory::write`] does in the folder that the path names.
///
/// # Errors
/// [`Error::Io`] with the path; the old content is still there and the temporary file is gone.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<()> {
    let name = path.file_name().ok_or_else(|| Error::io(path, io::ErrorKind::InvalidFilename.into()))?;
    let parent = Directory::open_io(parent_of(path)).map_err(|e| Error::io(path, e))?;
    parent.write(name, write)
}

/// Checks that nothing stands where a folder is to be made: no such name, or an empty folder.
///
/// # Errors
/// [`Error::Usage`] where something is there, [`Error::Io`] where one cannot look.
pub fn require_new(path: &Path) -> Result<()> {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::Usage(format!("{} is not empty; name another folder", path.display()))),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
            Err(Error::Usage(format!("{} is not a folder; name another one", path.display())))
        }
        Err(e) => Err(Error::io(path, e)),
    }
}

/// Makes a folder of these files (name, content), whole or not at all where it was not there before. In an empty folder
/// each file is whole or missing. Nothing is ever overwritten.
///
/// # Errors
/// As [`require_new`], and [`Error::Io`] where the files cannot be written.
pub fn write_new(path: &Path, files: &[(String, String)]) -> Result<()> {
    require_new(path)?;
    let fill = |folder: &Path| -> Result<()> {
        let folder = Directory::open(folder)?;
        let staged = files
            .iter()
            .map(|(name, text)| folder.stage(name, |file| file.write_all(text.as_bytes())))
            .collect::<Result<Vec<Staged>>>()?;
        staged.into_iter().try_for_each(Staged::commit_new)
    };
    if path.exists() {
        return fill(path);
    }
    let parent = parent_of(path);
    make_folders(parent)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777)); // less the umask, like any folder
    let temporary = builder.tempdir_in(parent).map_err(|e| Error::io(parent, e))?;
    fill(temporary.path())?;
    // A folder that has come to be in the meantime is replaced only where it is empty.
    fs::rename(temporary.path(), path).map_err(|e| Error::io(path, e))?;
    let _ = temporary.keep(); // it has another name now
    Directory::open(parent)?.sync();
    Ok(())
}

/// A path as a shell takes it, for commands printed to be copied.
pub fn shell_quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "/._-+=:,@".contains(c)) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_folder_is_refused_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let first = Folder::create(&path, "x = 1\n").unwrap();
        drop(first);
        let error = Folder::create(&path, "x = 2\n").unwrap_err().to_string();
        assert!(error.contains("exists") && error.contains("--resume"), "{error}");
        assert_eq!(fs::read_to_string(path.join("config.toml")).unwrap(), "x = 1\n");
        let file = root.path().join("file");
        fs::write(&file, "kept").unwrap();
        assert!(Folder::create(&file, "").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }

    #[test]
    fn two_writers_are_one_too_many() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        let first = Folder::create(&path, "").unwrap();
        let error = Folder::open(&path).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        // No file stands for the lock that could be taken away.
        let _ = fs::remove_file(path.join(LOCK));
        assert!(Folder::open(&path).is_err());
        drop(first);
        fs::create_dir(path.join("plots")).unwrap();
        for left in [".partial-left", "plots/.partial-left"] {
            fs::write(path.join(left), "half").unwrap();
        }
        Folder::open(&path).unwrap();
        assert!(!path.join(".partial-left").exists() && !path.join("plots/.partial-left").exists());
    }

    #[test]
    fn a_folder_that_never_became_a_run_is_used_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        fs::create_dir(&path).unwrap();
        for left in ["lock", ".partial-1-0"] {
            fs::write(path.join(left), "").unwrap();
        }
        assert!(Folder::open(&path).unwrap_err().to_string().contains("no config.toml"));
        drop(Folder::create(&path, "x = 1\n").unwrap());
        assert!(!path.join(".partial-1-0").exists());
        Folder::open(&path).unwrap();
        let other = root.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("notes.txt"), "mine").unwrap();
        let error = Folder::create(&other, "").unwrap_err().to_string();
        assert!(error.contains("exists") && !error.contains("--resume"), "{error}");
        assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn what_is_written_follows_a_folder_that_is_moved() {
        let root = tempfile::tempdir().unwrap();
        let (path, moved) = (root.path().join("run"), root.path().join("moved"));
        let first = Folder::create(&path, "first").unwrap();
        assert_eq!(first.directory().moved_to(), None);
        fs::rename(&path, &moved).unwrap();
        let second = Folder::create(&path, "second").unwrap();
        first.write_config("still the first").unwrap();
        first.directory().make_inside("plots").unwrap().write("a.svg", |f| f.write_all(b"a")).unwrap();
        assert_eq!(fs::read_to_string(moved.join("config.toml")).unwrap(), "still the first");
        assert_eq!(fs::read_to_string(path.join("config.toml")).unwrap(), "second");
        assert!(moved.join("plots/a.svg").exists() && !path.join("plots").exists());
        if cfg!(target_os = "linux") {
            assert_eq!(first.directory().here(), moved.canonicalize().unwrap());
        }
        assert_eq!(second.directory().here(), path);
    }

    #[test]
    fn what_is_no_run_is_not_opened() {
        let root = tempfile::tempdir().unwrap();
        let error = |p: &Path| Folder::open(p).unwrap_err().to_string();
        assert!(error(root.path()).contains("no config.toml"));
        assert!(error(&root.path().join("x")).contains("does not exist"));
    }

    #[test]
    fn a_failed_write_keeps_the_old_content() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        write_atomically(&path, |f| f.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |f| {
            f.write_all(b"new and half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(matches!(failed, Err(Error::Io { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "a temporary file was left");
    }

    #[test]
    fn a_new_folder_is_made_whole_and_replaces_nothing() {
        let root = tempfile::tempdir().unwrap();
        let files = [("a.txt".to_string(), "1".to_string()), ("b.txt".to_string(), "2".to_string())];
        let listing = |path: &Path| fs::read_dir(path).unwrap().count();
        let new = root.path().join("x/new");
        write_new(&new, &files).unwrap();
        assert_eq!((fs::read_to_string(new.join("b.txt")).unwrap().as_str(), listing(&new)), ("2", 2));
        assert!(matches!(write_new(&new, &files), Err(Error::Usage(_))));
        let empty = root.path().join("empty");
        fs::create_dir(&empty).unwrap();
        write_new(&empty, &files).unwrap();
        assert_eq!(listing(&empty), 2);
        assert!(matches!(write_new(&new.join("a.txt"), &files), Err(Error::Usage(_))));
        // A name that is no file name: nothing is left behind.
        let failed = write_new(&root.path().join("bad"), &[("no/such".to_string(), String::new())]);
        assert!(failed.is_err());
        assert_eq!(listing(root.path()), 2);
    }

    #[test]
    fn paths_are_quoted_for_the_shell() {
        assert_eq!(shell_quoted(Path::new("runs/a-1")), "runs/a-1");
        assert_eq!(shell_quoted(Path::new("it's here")), r"'it'\''s here'");
    }
}
