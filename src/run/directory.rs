//! A folder that is held open. What is written through it goes into that folder, wherever it is moved to in the
//! meantime and whatever takes its old name; and nothing of it is ever half written: files are written beside those
//! that they replace, flushed and renamed.
//!
//! Where the operating system has no handles of folders (Windows), paths stand in for them.
//!
//! ```
//! use std::io::Write;
//! use synod::run::directory::Directory;
//! let folder = tempfile::tempdir().expect("a folder");
//! let directory = Directory::make(folder.path().join("run"))?;
//! directory.write("note.txt", |file| file.write_all(b"whole or not at all"))?;
//! assert!(directory.path().join("note.txt").exists());
//! # Ok::<(), synod::Error>(())
//! ```

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// What temporary files begin with; a killed run may leave one behind, and opening its folder removes it.
pub(super) const PARTIAL: &str = ".partial-";

/// How a file of a [`Directory`] is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// To be read.
    Read,
    /// To be written from where it ends.
    Append,
    /// To be written or cut, from its start.
    Write,
    /// Made, where there is none of that name; nothing is cut.
    Create,
    /// Made; it is an error where there is one of that name.
    New,
}

/// A folder that is held open.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    #[cfg(unix)]
    handle: File,
}

impl Directory {
    /// Opens a folder.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Directory> {
        let path = path.as_ref();
        Self::open_io(path).map_err(|e| Error::io(path, e))
    }

    /// Opens a folder, which is made with its parents where it is missing. What is made lasts through a power failure.
    ///
    /// # Errors
    /// [`Error::Io`] with the path that cannot be made or opened.
    pub fn make(path: impl AsRef<Path>) -> Result<Directory> {
        let path = path.as_ref();
        make_folders(path)?;
        Self::open(path)
    }

    /// The name under which it was opened, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name that it has now, where the system can tell and it has another: it was moved.
    pub fn moved_to(&self) -> Option<PathBuf> {
        #[cfg(unix)]
        {
            use std::os::fd::AsRawFd;
            use std::os::unix::fs::MetadataExt;
            let identity = |about: fs::Metadata| (about.dev(), about.ino());
            let own = self.handle.metadata().map(identity).ok()?;
            if fs::metadata(&self.path).map(identity).is_ok_and(|there| there == own) {
                return None;
            }
            let now = fs::read_link(format!("/proc/self/fd/{}", self.handle.as_raw_fd())).ok()?;
            fs::metadata(&now).map(identity).is_ok_and(|there| there == own).then_some(now)
        }
        #[cfg(not(unix))]
        None
    }

    /// The name that it has now, as far as the system can tell.
    pub fn here(&self) -> PathBuf {
        self.moved_to().unwrap_or_else(|| self.path.clone())
    }

    /// A file's path, for messages.
    pub(super) fn join(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref())
    }

    /// A folder in it, which is made where it is missing.
    pub(super) fn make_inside(&self, name: &str) -> Result<Directory> {
        match self.make_dir(name) {
            Ok(()) => self.sync(),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io(self.join(name), e)),
        }
        self.open_inside(name).map_err(|e| Error::io(self.join(name), e))
    }

    /// Whether it has a file, a folder or anything else of that name.
    pub(super) fn has(&self, name: impl AsRef<OsStr>) -> bool {
        self.names().is_ok_and(|names| names.iter().any(|n| n == name.as_ref()))
    }

    /// Removes what killed runs have left half written.
    pub(super) fn remove_partial(&self) {
        for name in self.names().unwrap_or_default() {
            if let Some(name) = name.to_str().filter(|name| name.starts_with(PARTIAL)) {
                // If it stays it does no harm.
                let _ = self.remove(name);
            }
        }
    }

    /// Makes what was made, renamed or removed in it last through a power failure. Not every system can; then it is
    /// merely not yet on the disk.
    pub(super) fn sync(&self) {
        #[cfg(unix)]
        let _ = self.handle.sync_all();
    }

    /// Replaces a file in one step: writes beside it, flushes to the disk, renames, flushes the folder. Whatever happens
    /// on the way, `name` holds either its old content or the new one, whole.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; the old content is still there and the temporary file is gone.
    pub fn write(
        &self,
        name: impl AsRef<OsStr>,
        write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
    ) -> Result<()> {
        self.stage(name, write)?.commit()
    }

    /// Writes the content of `name` beside it. Dropped without [`Staged::commit`] it leaves nothing behind.
    pub(super) fn stage(
        &self,
        name: impl AsRef<OsStr>,
        write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
    ) -> Result<Staged<'_>> {
        let name = name.as_ref();
        let fill = || -> io::Result<Staged<'_>> {
            let (temporary, mut file) = self.temporary()?;
            let staged = Staged { directory: self, temporary: Some(temporary), name: name.to_os_string() };
            let mut writer = BufWriter::with_capacity(1 << 16, &mut file);
            write(&mut writer)?;
            writer.flush()?;
            drop(writer);
            file.sync_all()?;
            Ok(staged)
        };
        fill().map_err(|e| Error::io(self.join(name), e))
    }

    /// A file of a name that nothing has.
    fn temporary(&self) -> io::Result<(String, File)> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{PARTIAL}{}-{number}", std::process::id());
            match self.file(&name, How::New) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other.map(|file| (name, file)),
            }
        }
    }
}

/// A file that is written and flushed but has not yet taken its name.
pub(super) struct Staged<'a> {
    directory: &'a Directory,
    /// `None` once it has its name.
    temporary: Option<String>,
    name: OsString,
}

impl Staged<'_> {
    /// Gives the file its name, where no other has it.
    pub(super) fn commit_new(self) -> Result<()> {
        let Some(temporary) = &self.temporary else { return Ok(()) };
        // A link is refused where the name is taken; a rename would replace.
        match self.directory.link(temporary, &self.name) {
            Ok(()) => {
                self.directory.sync();
                Ok(()) // dropping it takes the other name away
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists || self.directory.has(&self.name) => {
                Err(self.fault(io::ErrorKind::AlreadyExists.into()))
            }
            // A file system without hard links.
            Err(_) => self.commit(),
        }
    }

    /// Gives the file its name.
    pub(super) fn commit(mut self) -> Result<()> {
        if let Some(temporary) = &self.temporary {
            self.directory.rename(temporary, &self.name).map_err(|e| self.fault(e))?;
            self.temporary = None;
            self.directory.sync();
        }
        Ok(())
    }

    fn fault(&self, error: io::Error) -> Error {
        Error::io(self.directory.join(&self.name), error)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = self.directory.remove(temporary);
        }
    }
}

/// Makes a folder and its parents where they are missing, each flushed into its own parent.
pub(super) fn make_folders(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent_of(path);
    if parent != path {
        make_folders(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => {
            Directory::open(parent)?.sync();
            Ok(())
        }
        // Another process was quicker.
        Err(_) if path.is_dir() => Ok(()),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// The folder that a name stands in.
pub(super) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

#[cfg(unix)]
impl Directory {
    pub(super) fn open_io(path: &Path) -> io::Result<Directory> {
        use rustix::fs::{Mode, OFlags, open};
        let handle = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Directory { path: path.to_path_buf(), handle: File::from(handle) })
    }

    /// The open folder, to be locked.
    pub(super) fn handle(&self) -> Option<&File> {
        Some(&self.handle)
    }

    pub(super) fn open_inside(&self, name: &str) -> io::Result<Directory> {
        use rustix::fs::{Mode, OFlags, openat};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = openat(&self.handle, name, flags, Mode::empty())?;
        Ok(Directory { path: self.join(name), handle: File::from(handle) })
    }

    pub(super) fn file(&self, name: impl AsRef<OsStr>, how: How) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags, openat};
        let flags = match how {
            How::Read => OFlags::RDONLY,
            How::Append => OFlags::WRONLY | OFlags::APPEND,
            How::Write => OFlags::WRONLY,
            How::Create => OFlags::WRONLY | OFlags::CREATE,
            How::New => OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL,
        };
        let mode = Mode::from_raw_mode(0o666); // less the umask, like any file
        Ok(File::from(openat(&self.handle, name.as_ref(), flags | OFlags::CLOEXEC, mode)?))
    }

    fn make_dir(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.handle, name, rustix::fs::Mode::from_raw_mode(0o777))?)
    }

    pub(super) fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.handle, from.as_ref(), &self.handle, to.as_ref())?)
    }

    pub(super) fn link(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(rustix::fs::linkat(
            &self.handle,
            from.as_ref(),
            &self.handle,
            to.as_ref(),
            rustix::fs::AtFlags::empty(),
        )?)
    }

    pub(super) fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.handle, name.as_ref(), rustix::fs::AtFlags::empty())?)
    }

    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        use std::os::unix::ffi::OsStringExt;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.handle)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }
}

#[cfg(not(unix))]
impl Directory {
    pub(super) fn open_io(path: &Path) -> io::Result<Directory> {
        match fs::metadata(path)?.is_dir() {
            true => Ok(Directory { path: path.to_path_buf() }),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn handle(&self) -> Option<&File> {
        None
    }

    pub(super) fn open_inside(&self, name: &str) -> io::Result<Directory> {
        Self::open_io(&self.join(name))
    }

    pub(super) fn file(&self, name: impl AsRef<OsStr>, how: How) -> io::Result<File> {
        let mut options = fs::OpenOptions::new();
        match how {
            How::Read => options.read(true),
            How::Append => options.append(true),
            How::Write => options.write(true),
            How::Create => options.write(true).create(true).truncate(false),
            How::New => options.write(true).create_new(true),
        };
        options.open(self.join(name))
    }

    fn make_dir(&self, name: &str) -> io::Result<()> {
        fs::create_dir(self.join(name))
    }

    pub(super) fn rename(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        fs::rename(self.join(from), self.join(to))
    }

    pub(super) fn link(&self, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> io::Result<()> {
        fs::hard_link(self.join(from), self.join(to))
    }

    pub(super) fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        fs::remove_file(self.join(name))
    }

    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        fs::read_dir(&self.path)?.map(|entry| entry.map(|e| e.file_name())).collect()
    }
}
