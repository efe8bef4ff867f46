//! What lies around a manifest: secret keys that git tracks or would add, and the JSON Schema beside it.

use std::path::{Path, PathBuf};

use super::folder::read_regular;
use super::git::{Git, GitError, slashed};

/// The most names that are looked at for secret keys.
const NAMES_MAX: usize = 20_000;
/// How deep folders are looked into.
const DEPTH_MAX: usize = 16;
/// The largest file that may be a key.
const KEY_BYTES_MAX: u64 = 64 << 10;
/// The largest schema.
const SCHEMA_BYTES_MAX: u64 = 4 << 20;

/// What lies around a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Files below the manifest's folder that hold a secret key and that git tracks or would add, from that folder.
    pub secrets: Vec<String>,
    /// The bytes of `manifest.schema.json` beside the manifest.
    pub schema: Option<Vec<u8>>,
    /// Why git could not say which of the files with secret keys it tracks.
    pub git: Option<GitError>,
}

/// Looks around a manifest. Asks git only when there is a secret key.
#[must_use]
pub fn survey(manifest: &Path) -> Survey {
    let parent = manifest.parent().filter(|parent| !parent.as_os_str().is_empty());
    let Ok(folder) = parent.unwrap_or(Path::new(".")).canonicalize() else {
        return Survey::default();
    };
    let schema = read_regular(&folder.join("manifest.schema.json"), SCHEMA_BYTES_MAX).ok();
    let mut survey = Survey { schema, ..Survey::default() };
    let Some(git) = Git::around(&folder) else { return survey };
    let keys = secret_keys(&folder);
    if keys.is_empty() {
        return survey;
    }
    match git.tracked_or_added(&keys) {
        Ok(files) => {
            let below = files.iter().filter_map(|file| file.strip_prefix(&folder).ok());
            survey.secrets = below.map(slashed).collect();
            survey.secrets.sort_unstable();
            survey.secrets.dedup();
        }
        Err(error) => survey.git = Some(error),
    }
    survey
}

/// The files below a folder that hold a secret key.
fn secret_keys(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut ahead = vec![(folder.to_owned(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = ahead.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            seen += 1;
            if seen > NAMES_MAX {
                return found;
            }
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if depth < DEPTH_MAX && entry.file_name() != ".git" {
                    ahead.push((entry.path(), depth + 1));
                }
            } else if kind.is_file()
                && read_regular(&entry.path(), KEY_BYTES_MAX).is_ok_and(|b| is_secret_key(&b))
            {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Whether a text holds a secret key in PEM, as OpenSSH, OpenSSL and `tandem key generate` write them. The first
/// line alone is none: manuals quote it.
fn is_secret_key(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.starts_with("-----BEGIN ") && line.ends_with("PRIVATE KEY-----") {
            let body = lines.clone().next().unwrap_or_default();
            let base64 = |b: u8| {
                b.is_ascii_alphanumeric()
                    || matches!(b, b'+' | b'/' | b'=' | b':' | b' ' | b',' | b'-')
            };
            if body.len() >= 16 && body.bytes().all(base64) {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_more_than_its_first_line() {
        let body = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ";
        let begin = "-----BEGIN OPENSSH PRIVATE KEY-----";
        assert!(is_secret_key(format!("{begin}\n{body}\n").as_bytes()));
        assert!(is_secret_key(format!("# note\r\n  {begin}\r\n  {body}\r\n").as_bytes()));
        assert!(!is_secret_key(format!("a key begins with\n{begin}\n").as_bytes()));
        assert!(!is_secret_key(format!("-----BEGIN PUBLIC KEY-----\n{body}\n").as_bytes()));
    }
}
