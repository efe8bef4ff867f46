//! Files as each system wants them made: a secret is readable by its owner alone from its first moment.

use std::io;
use std::path::Path;

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner.
    Owner,
    /// Everybody.
    All,
}

/// A file without a name of its own in a directory, to be written and then given one.
///
/// # Errors
/// The directory cannot be written to.
pub fn temporary_file(directory: &Path, access: Access) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = match access {
            Access::Owner => 0o600,
            Access::All => 0o644,
        };
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    // Elsewhere a file takes the access of its directory.
    let _ = access;
    builder.tempfile_in(directory)
}

/// What to tell whoever uses a secret that others on this machine can read.
#[must_use]
pub fn warning_of_open(path: &Path) -> Option<String> {
    is_open_to_others(path).then(|| {
        format!("`{0}` can be read by others on this machine: `chmod 600 {0}`", path.display())
    })
}

/// Whether others on this machine can read or change a file, by its permissions.
#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o077 != 0)
}

/// Whether others on this machine can read or change a file: elsewhere it is as open as its folder.
#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}
