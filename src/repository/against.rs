//! What a manifest is compared with, by a revision of git or a file: the manifest as it was, another one, a bundle or
//! a saved status. No server is asked.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::folder::read_regular;
use super::git::slashed;
use super::{Commit, Git, GitError, Loaded, read, read_from};
use crate::bundle::{BUNDLE_BYTES_MAX, Bundle};
use crate::json::{self, Nulls};
use crate::license;
use crate::manifest::sources::FileFault;
use crate::name::{BundleHash, LicenseId};

/// What a manifest is compared with.
#[derive(Debug)]
pub enum Against {
    /// Another manifest, or the same one as of a revision.
    Manifest(Box<Loaded>),
    /// The revision has no such manifest: nothing ran then.
    Nothing,
    /// A bundle, as a server gives it away.
    Bundle(Bundle),
    /// A saved status: the bundles that the servers ran.
    Status(BTreeSet<BundleHash>),
}

/// Why there is nothing to compare with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgainstError {
    /// The text is neither a file nor a revision.
    #[error("`{0}` is neither a file nor a revision of git")]
    Neither(String),
    /// Git could not be asked.
    #[error("`{revision}` cannot be read")]
    Git {
        /// The revision.
        revision: String,
        /// Why.
        source: GitError,
    },
    /// The file cannot be read.
    #[error("`{file}` {fault}")]
    File {
        /// The file.
        file: String,
        /// Why.
        fault: FileFault,
    },
    /// The file is JSON, but neither a bundle nor a status.
    #[error("`{0}` is JSON, but neither a bundle nor a status")]
    Json(String),
}

/// What the text of `--against` means for this manifest: a file, if there is one, else a revision.
///
/// # Errors
/// It is neither, or cannot be read.
pub fn against(manifest: &Path, text: &str) -> Result<Against, AgainstError> {
    let path = Path::new(text);
    if path.symlink_metadata().is_ok() { file(path) } else { revision(manifest, text) }
}

fn file(path: &Path) -> Result<Against, AgainstError> {
    let file = path.display().to_string();
    let fault = |fault| AgainstError::File { file: file.clone(), fault };
    let canonical = path.canonicalize().map_err(|error| fault(super::folder::fault_of(&error)))?;
    let bytes = read_regular(&canonical, BUNDLE_BYTES_MAX as u64).map_err(fault)?;
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Ok(Against::Manifest(Box::new(read(path))));
    }
    if let Ok(bundle) = Bundle::decode(bytes.trim_ascii_end()) {
        return Ok(Against::Bundle(bundle));
    }
    match json::value(&bytes, Nulls::Accepted) {
        // YAML may begin so, and a manifest may be written as JSON.
        Err(_) => Ok(Against::Manifest(Box::new(read(path)))),
        Ok(value) if value.get("kind").is_some() => Ok(Against::Manifest(Box::new(read(path)))),
        Ok(_) => match json::read::<SavedStatus>(&bytes, Nulls::Accepted) {
            Ok(status) => Ok(Against::Status(status.bundles())),
            Err(_) => Err(AgainstError::Json(file)),
        },
    }
}

fn revision(manifest: &Path, revision: &str) -> Result<Against, AgainstError> {
    let neither = || AgainstError::Neither(revision.to_owned());
    let failed = |source| AgainstError::Git { revision: revision.to_owned(), source };
    let parent = manifest.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new(".")).canonicalize().map_err(|_| neither())?;
    let git = Git::around(&folder).ok_or_else(neither)?;
    let base = folder.strip_prefix(git.root()).map_err(|_| neither())?;
    let commit = match Commit::open(&git, revision, &slashed(base)) {
        Err(GitError::UnknownRevision(_)) => return Err(neither()),
        other => other.map_err(failed)?,
    };
    let name = manifest.file_name().and_then(|name| name.to_str()).ok_or_else(neither)?;
    let file = manifest.display().to_string().replace('\\', "/");
    let loaded = read_from(&commit, &file, name);
    match loaded.unread {
        Some(FileFault::Missing) => Ok(Against::Nothing),
        Some(fault) => Err(AgainstError::File { file: format!("{revision}:{file}"), fault }),
        None => Ok(Against::Manifest(Box::new(loaded))),
    }
}

/// The part of a saved status (`tandem status --format json`) that says which bundles ran.
#[derive(Deserialize)]
struct SavedStatus {
    servers: Vec<SavedServer>,
}

#[derive(Deserialize)]
struct SavedServer {
    status: Option<SavedBundle>,
}

#[derive(Deserialize)]
struct SavedBundle {
    bundle: Option<BundleHash>,
}

impl SavedStatus {
    fn bundles(self) -> BTreeSet<BundleHash> {
        let statuses = self.servers.into_iter().filter_map(|server| server.status);
        statuses.filter_map(|status| status.bundle).collect()
    }
}

impl Against {
    /// The licenses that ran, as far as it says: a saved status does only of the manifest that ran then, unchanged.
    #[must_use]
    pub fn licenses(&self, loaded: &Loaded) -> BTreeSet<LicenseId> {
        match self {
            Self::Manifest(other) => other.license_ids(),
            Self::Nothing => BTreeSet::new(),
            Self::Bundle(bundle) => {
                let texts = bundle.licenses().iter().map(|license| license.pem.as_bytes());
                texts.flat_map(license_ids).collect()
            }
            Self::Status(hashes) => match loaded.bundle() {
                Some(Ok(bundle)) if hashes.contains(&bundle.hash()) => loaded.license_ids(),
                _ => BTreeSet::new(),
            },
        }
    }
}

/// The ids of the licenses in a file that verify.
pub(super) fn license_ids(text: &[u8]) -> Vec<LicenseId> {
    let blocks = license::blocks(text).unwrap_or_default();
    blocks.iter().filter_map(|block| block.verify().ok()).map(|license| license.id).collect()
}
