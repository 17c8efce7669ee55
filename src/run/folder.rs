//! The folder of a run and the one way in which its files are replaced.
//!
//! ```text
//! runs/bottleneck-7/
//!   config.toml                       complete, runnable again
//!   metrics.csv                       one row a logging interval
//!   events/events.out.tfevents.*      the same for TensorBoard
//!   checkpoint.safetensors            the latest state
//!   checkpoint.previous.safetensors   the one before
//!   plots/*.svg                       learning curves
//!   lock                              held by the process that writes here
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What temporary files begin with; a killed run may leave one behind, and opening the folder removes it.
const PARTIAL: &str = ".partial-";

/// A run folder that this process alone writes to, until the value is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes a new run folder (and its parents) that holds `config` as `config.toml`.
    ///
    /// # Errors
    /// [`Error::Usage`] where something of that name exists, in which case nothing is written; [`Error::Io`] where
    /// the folder cannot be made.
    pub fn create(path: impl AsRef<Path>, config: &str) -> Result<Folder> {
        let path = path.as_ref();
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
        }
        // create_dir fails where the name is taken, so of two processes that race for it one wins.
        fs::create_dir(path).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::Usage(format!(
                "{} exists, and nothing in it was touched; name another folder with --out, or go on with it: --resume {}",
                path.display(),
                shell_quoted(path)
            )),
            _ => Error::io(path, e),
        })?;
        let folder = Folder { path: path.to_path_buf(), _lock: lock(path)? };
        write_atomically(&folder.config(), |file| file.write_all(config.as_bytes()))?;
        Ok(folder)
    }

    /// Opens the folder of an earlier run to go on with it.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is missing, is no run folder, or is being written to by another process.
    pub fn open(path: impl AsRef<Path>) -> Result<Folder> {
        let path = path.as_ref();
        require_run(path)?;
        let folder = Folder { path: path.to_path_buf(), _lock: lock(path)? };
        let entries = fs::read_dir(path).map_err(|e| Error::io(path, e))?;
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
                // Holding the lock, so nobody is writing it. If it stays it does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.toml`
    pub fn config(&self) -> PathBuf {
        config_of(&self.path)
    }

    /// `metrics.csv`
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    /// `events/`, where TensorBoard looks.
    pub fn events(&self) -> PathBuf {
        self.path.join("events")
    }

    /// `checkpoint.safetensors`
    pub fn checkpoint(&self) -> PathBuf {
        checkpoint_of(&self.path)
    }

    /// `plots/`
    pub fn plots(&self) -> PathBuf {
        self.path.join("plots")
    }
}

/// The configuration of the run in `path`, for readers that take no lock.
pub fn config_of(path: &Path) -> PathBuf {
    path.join("config.toml")
}

/// The latest checkpoint of the run in `path`, for readers that take no lock.
pub fn checkpoint_of(path: &Path) -> PathBuf {
    path.join("checkpoint.safetensors")
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

/// Takes the lock of a run folder. The operating system lets go of it when the process ends, however it ends.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| Error::io(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Usage(format!(
            "another process is writing to {}; wait for it or stop it first",
            folder.display()
        ))),
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {
            tracing::warn!("{} is on a file system without locks", folder.display());
            Ok(file)
        }
        Err(TryLockError::Error(e)) => Err(Error::io(&path, e)),
    }
}

/// Replaces a file in one step: writes beside it, flushes to the disk, renames, flushes the folder. Whatever happens
/// on the way, `path` holds either its old content or the new one, whole.
///
/// # Errors
/// [`Error::Io`] with the path; the old content is still there and the temporary file is gone.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<()> {
    stage(path, write)?.commit()
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
    let stage_in = |folder: &Path| -> Result<()> {
        let staged = files
            .iter()
            .map(|(name, text)| stage(&folder.join(name), |file| file.write_all(text.as_bytes())))
            .collect::<Result<Vec<Staged>>>()?;
        staged.into_iter().try_for_each(Staged::commit_new)
    };
    if path.exists() {
        stage_in(path)?;
        sync_folder(path);
        return Ok(());
    }
    let parent = parent_of(path);
    fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777)); // less the umask, like any folder
    let temporary = builder.tempdir_in(parent).map_err(|e| Error::io(parent, e))?;
    stage_in(temporary.path())?;
    // A folder that has come to be in the meantime is replaced only where it is empty.
    fs::rename(temporary.path(), path).map_err(|e| Error::io(path, e))?;
    let _ = temporary.keep(); // it has another name now
    sync_folder(parent);
    Ok(())
}

/// A file that is written and flushed but has not yet taken its name.
pub(super) struct Staged {
    temporary: tempfile::NamedTempFile,
    path: PathBuf,
}

/// Writes the content of `path` beside it. Dropped without [`Staged::commit`] it leaves nothing behind.
pub(super) fn stage(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<Staged> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask, like any file
    let fill = || -> io::Result<tempfile::NamedTempFile> {
        let mut temporary = builder.tempfile_in(parent_of(path))?;
        let mut writer = BufWriter::with_capacity(1 << 16, temporary.as_file_mut());
        write(&mut writer)?;
        writer.flush()?;
        drop(writer);
        temporary.as_file().sync_all()?;
        Ok(temporary)
    };
    let temporary = fill().map_err(|e| Error::io(path, e))?;
    Ok(Staged { temporary, path: path.to_path_buf() })
}

impl Staged {
    /// Gives the file its name, where no other has it.
    fn commit_new(self) -> Result<()> {
        let Staged { temporary, path } = self;
        temporary.persist_noclobber(&path).map_err(|e| Error::io(&path, e.error))?;
        Ok(())
    }

    /// Gives the file its name.
    pub(super) fn commit(self) -> Result<()> {
        let Staged { temporary, path } = self;
        temporary.persist(&path).map_err(|e| Error::io(&path, e.error))?;
        sync_folder(parent_of(&path));
        Ok(())
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a rename last through a power failure. Not every system can; then the rename is merely not yet on the disk.
fn sync_folder(folder: &Path) {
    #[cfg(unix)]
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    #[cfg(not(unix))]
    let _ = folder;
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
        drop(first);
        fs::write(path.join(".partial-left"), "half").unwrap();
        Folder::open(&path).unwrap();
        assert!(!path.join(".partial-left").exists());
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
