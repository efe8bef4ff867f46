//! The tree on disk: the manifest's folder, kept inside the git work tree around it (or inside itself).
//!
//! Every file is resolved, judged and opened so that a hostile repository can neither read another file of the
//! machine nor block on a pipe. Notes which folders a watcher has to watch.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use super::tree::{Kind, Tree};
use crate::manifest::sources::FileFault;
use crate::seam::regular;

/// The most symbolic links on the way to one file.
const LINKS_MAX: usize = 40;

/// The manifest's folder on disk.
pub struct Folder {
    base: PathBuf,
    root: PathBuf,
    what: &'static str,
    watched: RefCell<BTreeSet<PathBuf>>,
    used: RefCell<BTreeSet<PathBuf>>,
}

impl Folder {
    /// The folder `base`, from which files inside of `root` (the work tree of git) may be read; with no `root`
    /// only those in `base` itself.
    ///
    /// # Errors
    /// The folder does not exist.
    pub fn open(base: &Path, root: Option<&Path>) -> io::Result<Self> {
        let base = std::path::absolute(base)?;
        let (root, what) = match root {
            Some(root) => (root.canonicalize()?, "the git work tree"),
            None => (base.canonicalize()?, "the manifest's folder"),
        };
        Ok(Self { base, root, what, watched: RefCell::default(), used: RefCell::default() })
    }

    /// The folders in which a change can change what was read: of each file, and of every symbolic link on the
    /// way to it. Of what is missing, the nearest folder that exists.
    #[must_use]
    pub fn watched(&self) -> Vec<PathBuf> {
        self.watched.borrow().iter().cloned().collect()
    }

    /// The files that were read, with no symbolic link in their paths.
    #[must_use]
    pub fn used(&self) -> Vec<PathBuf> {
        self.used.borrow().iter().cloned().collect()
    }

    /// Reads the manifest itself, which may be anywhere: the user named it.
    ///
    /// # Errors
    /// It does not exist, is not a regular file, or is too large.
    pub fn manifest(&self, name: &Path, max: u64) -> Result<Vec<u8>, FileFault> {
        let path = self.base.join(name);
        self.note(&path);
        let path = path.canonicalize().map_err(|error| fault_of(&error))?;
        let bytes = read_regular(&path, max)?;
        self.used.borrow_mut().insert(path);
        Ok(bytes)
    }

    /// Where a path leads, if that is inside.
    fn resolve(&self, path: &str) -> Result<PathBuf, FileFault> {
        let path = self.base.join(path);
        self.note(&path);
        let path = path.canonicalize().map_err(|error| fault_of(&error))?;
        // Git's own folder holds what nobody commits, for example the token with which a job fetched.
        let git = |part: std::path::Component<'_>| part.as_os_str().eq_ignore_ascii_case(".git");
        match path.strip_prefix(&self.root) {
            Ok(below) if !below.components().any(git) => Ok(path),
            _ => Err(FileFault::Outside(self.what)),
        }
    }

    /// Notes the folders on the way to a path in which something could be replaced.
    fn note(&self, path: &Path) {
        let mut watched = self.watched.borrow_mut();
        let mut here = self.base.clone();
        let below = path.strip_prefix(&self.base).unwrap_or(path);
        let mut ahead: VecDeque<OsString> = below.iter().map(OsString::from).collect();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            match Path::new(&name).components().next() {
                Some(Component::ParentDir) => {
                    here.pop();
                    continue;
                }
                Some(Component::CurDir) | None => continue,
                _ => {}
            }
            let next = here.join(&name);
            let Ok(data) = next.symlink_metadata() else {
                watched.insert(here);
                return;
            };
            if !data.is_symlink() {
                if ahead.is_empty() {
                    watched.insert(if data.is_dir() { next.clone() } else { here.clone() });
                }
                here = next;
                continue;
            }
            watched.insert(here.clone());
            links += 1;
            let Ok(target) = next.read_link() else { return };
            if links > LINKS_MAX {
                return;
            }
            for part in target.iter().rev() {
                ahead.push_front(part.to_owned());
            }
        }
    }
}

impl Tree for Folder {
    fn names(&self, folder: &str) -> Result<Vec<(String, Kind)>, FileFault> {
        let folder = self.resolve(folder)?;
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(|error| fault_of(&error))? {
            let entry = entry.map_err(|error| fault_of(&error))?;
            // A name that is not UTF-8 fits no pattern.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type().map_err(|error| fault_of(&error))?;
            let kind = if kind.is_dir() {
                Kind::Folder
            } else if kind.is_symlink() && entry.path().is_dir() {
                Kind::LinkedFolder
            } else {
                Kind::File
            };
            names.push((name, kind));
        }
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }

    fn expect(&self, _: &[String]) {}

    fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, FileFault> {
        let path = self.resolve(path)?;
        let bytes = read_regular(&path, max)?;
        self.used.borrow_mut().insert(path);
        Ok(bytes)
    }
}

/// Reads a regular file of at most `max` bytes whose path has no symbolic link left.
pub(crate) fn read_regular(path: &Path, max: u64) -> Result<Vec<u8>, FileFault> {
    // Looked at before it is opened, since opening a device can have effects; and after, since it may have been
    // replaced in between.
    must_be_regular(&path.symlink_metadata().map_err(|error| fault_of(&error))?)?;
    let file = regular::open(path).map_err(|error| fault_of(&error))?;
    let data = file.metadata().map_err(|error| fault_of(&error))?;
    must_be_regular(&data)?;
    if data.len() > max {
        return Err(FileFault::TooLarge(max));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(data.len()).unwrap_or(0));
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| fault_of(&error))?;
    if bytes.len() as u64 > max { Err(FileFault::TooLarge(max)) } else { Ok(bytes) }
}

fn must_be_regular(data: &Metadata) -> Result<(), FileFault> {
    let kind = data.file_type();
    if kind.is_file() { Ok(()) } else { Err(FileFault::NotRegular(regular::kind_of(kind))) }
}

/// What an error of the operating system says of a file, in words that are the same everywhere.
pub(crate) fn fault_of(error: &io::Error) -> FileFault {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileFault::Missing,
        io::ErrorKind::PermissionDenied => FileFault::Unreadable("permission denied".to_owned()),
        io::ErrorKind::IsADirectory => FileFault::NotRegular("a folder"),
        _ if regular::is_loop(error) => FileFault::Unreadable("too many symbolic links".to_owned()),
        _ => FileFault::Unreadable(error.to_string()),
    }
}
