//! The identity key of a server: made at its first start, kept in its data directory.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::seam::disk::{Disk, Medium};
use crate::seam::entropy::{Ed25519Identity, Entropy};

/// The name of the file in a data directory.
pub const IDENTITY_FILE: &str = "identity.key";
const FILE_NEW: &str = "identity.key.new";
/// The file that says that a key is being made.
const LOCK: &str = "identity.lock";
const PREFIX: &str = "tandem-identity-v1 ";
const FILE_LEN_MAX: u64 = 1024;

/// Why a server has no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The data directory cannot be read or written.
    #[error("`{IDENTITY_FILE}` in the data directory cannot be read or written: {0}")]
    Disk(#[from] io::Error),
    /// The file is not a key.
    #[error(
        "`{IDENTITY_FILE}` in the data directory is not an identity key: put the right file back, or remove it and pin the \
         new key in the manifest"
    )]
    Malformed,
    /// Another process makes the key just now.
    #[error(
        "another process uses this data directory: stop it, or let this server have another one"
    )]
    Locked,
}

/// The identity in a data directory; a new one where there is none.
///
/// # Errors
/// The directory cannot be read or written, or the file is not a key.
pub fn load_identity(
    disk: &dyn Disk,
    entropy: &dyn Entropy,
) -> Result<Ed25519Identity, IdentityError> {
    if let Some(medium) = disk.open(IDENTITY_FILE)? {
        return read(&*medium);
    }
    let lock = match disk.open(LOCK)? {
        Some(lock) => lock,
        None => disk.create(LOCK)?,
    };
    if !lock.try_lock()? {
        return Err(IdentityError::Locked);
    }
    if let Some(medium) = disk.open(IDENTITY_FILE)? {
        return read(&*medium);
    }
    let seed = Zeroizing::new(entropy.bytes32());
    let text = Zeroizing::new(format!("{PREFIX}{}\n", &*Zeroizing::new(STANDARD.encode(*seed))));
    let medium: Arc<dyn Medium> = disk.create(FILE_NEW)?;
    medium.write(0, text.as_bytes())?;
    medium.sync()?;
    disk.rename(FILE_NEW, IDENTITY_FILE)?;
    Ok(Ed25519Identity::from_seed(&seed))
}

fn read(medium: &dyn Medium) -> Result<Ed25519Identity, IdentityError> {
    let len = medium.len()?;
    if len > FILE_LEN_MAX {
        return Err(IdentityError::Malformed);
    }
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(len).unwrap_or(0)]);
    medium.read(0, &mut bytes)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| IdentityError::Malformed)?;
    let encoded = text.trim_end().strip_prefix(PREFIX).ok_or(IdentityError::Malformed)?;
    let seed = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| IdentityError::Malformed)?);
    let seed: &[u8; 32] = seed.as_slice().try_into().map_err(|_| IdentityError::Malformed)?;
    Ok(Ed25519Identity::from_seed(seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::disk::Directory;
    use crate::seam::entropy::{Identity as _, OsEntropy};

    #[test]
    fn an_identity_is_made_once_and_for_its_owner_only() {
        let temporary = tempfile::tempdir().expect("a directory");
        let disk = Directory::open(temporary.path()).expect("a directory");
        let first = load_identity(&disk, &OsEntropy).expect("a new key").public();
        let again = load_identity(&disk, &OsEntropy).expect("the same key").public();
        assert_eq!(first, again);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let data = std::fs::metadata(temporary.path().join(IDENTITY_FILE)).expect("the file");
            assert_eq!(data.permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn another_file_is_no_identity() {
        let temporary = tempfile::tempdir().expect("a directory");
        let disk = Directory::open(temporary.path()).expect("a directory");
        for content in ["", "tandem-identity-v1 AAAA\n", "-----BEGIN OPENSSH PRIVATE KEY-----"] {
            std::fs::write(temporary.path().join(IDENTITY_FILE), content).expect("a file");
            let read = load_identity(&disk, &OsEntropy);
            assert!(matches!(read.map(|key| key.public()), Err(IdentityError::Malformed)));
        }
    }
}
