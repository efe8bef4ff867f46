//! The disk of one server: its data directory, as a few named files with explicit syncs.
//!
//! The store keeps its database in one of them. A simulation loses un-synced writes, tears them and fails syncs
//! behind the same traits.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A server's data directory.
pub trait Disk: Send + Sync {
    /// Opens a file that exists for random access; `None` where there is none.
    ///
    /// # Errors
    /// The file cannot be opened.
    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn Medium>>>;

    /// Creates an empty file for random access, replacing what had its name.
    ///
    /// # Errors
    /// The file cannot be created.
    fn create(&self, name: &str) -> io::Result<Arc<dyn Medium>>;

    /// Gives a file another name, durably: the directory is synced too.
    ///
    /// # Errors
    /// The file cannot be renamed or the directory cannot be synced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
}

/// A file of random access.
pub trait Medium: Send + Sync + fmt::Debug {
    /// The file's length in bytes.
    ///
    /// # Errors
    /// As of the medium.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// As of the medium.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Fills `bytes` from `offset`.
    ///
    /// # Errors
    /// As of the medium, or the file ends before.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Writes at `offset`; durable only after [`Medium::sync`].
    ///
    /// # Errors
    /// As of the medium.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts or extends (with zeros) the file.
    ///
    /// # Errors
    /// As of the medium.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes everything written so far durable. After an error nothing is known of what is (pair.md, rule 11).
    ///
    /// # Errors
    /// As of the medium.
    fn sync(&self) -> io::Result<()>;

    /// Takes the file for this handle alone until it is dropped; `false` where another process has it.
    ///
    /// A medium that only one process can reach needs no lock.
    ///
    /// # Errors
    /// As of the medium.
    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// A directory of the file system.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Opens a directory, creating it (for its owner only) where it does not exist.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn sync_directory(&self) -> io::Result<()> {
        // Windows cannot sync a directory and does not need it for a rename to last.
        if cfg!(unix) { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }
}

impl Disk for Directory {
    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn Medium>>> {
        match OpenOptions::new().read(true).write(true).open(self.path.join(name)) {
            Ok(file) => {
                forget_cached(&file)?;
                Ok(Some(Arc::new(OpenFile(file))))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Medium>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Arc::new(OpenFile(options.open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))?;
        self.sync_directory()
    }
}

/// Lets the next read come from the medium, not from the system's memory.
///
/// After a failed sync Linux marks the pages clean all the same: whoever reads them again finds what the medium may not
/// hold, and believes it durable. What an earlier process wrote and did not sync is written out first; then what is in
/// memory is dropped. Other systems keep pages that could not be written dirty, so that the sync here fails again.
fn forget_cached(file: &File) -> io::Result<()> {
    file.sync_all()?;
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
    Ok(())
}

/// An open file of the file system.
#[derive(Debug)]
struct OpenFile(File);

impl Medium for OpenFile {
    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|data| data.len())
    }

    #[cfg(unix)]
    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, bytes, offset)
    }

    #[cfg(windows)]
    fn read(&self, mut offset: u64, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = std::os::windows::fs::FileExt::seek_read(&self.0, bytes, offset)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes = &mut bytes[count..];
            offset += count as u64;
        }
        Ok(())
    }

    #[cfg(unix)]
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset)
    }

    #[cfg(windows)]
    fn write(&self, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = std::os::windows::fs::FileExt::seek_write(&self.0, bytes, offset)?;
            bytes = &bytes[count..];
            offset += count as u64;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(std::fs::TryLockError::WouldBlock) => Ok(false),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }
}
