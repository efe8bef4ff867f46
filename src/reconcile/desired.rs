//! The configuration as it is on disk: read with everything it names, judged, made a bundle.
//!
//! Blocking: it reads files and asks git. What runs elsewhere is not known here.

use std::path::{Path, PathBuf};

use crate::bundle::{Bundle, BundleError};
use crate::manifest::check::{Circumstances, Running};
use crate::manifest::finding::{Finding, Severity};
use crate::manifest::types::Manifest;
use crate::measure::Timestamp;
use crate::repository::{self, Against, Git, Loaded};
use crate::statement::Source;

/// A manifest on disk with everything it names, as it was read.
#[derive(Debug)]
pub struct Desired {
    path: PathBuf,
    loaded: Loaded,
}

/// When and beside what a configuration is judged.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// The wall time.
    pub now: Timestamp,
    /// What runs, where that is known: the end of a license that runs already is only a warning.
    pub running: Option<&'a Against>,
    /// The public key that is to sign (`ssh-ed25519 BASE64`), where the manifest has to keep it.
    pub signer: Option<&'a str>,
}

/// What came of judging it.
#[derive(Debug)]
pub struct Judged {
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// The bundle; absent where an error was found.
    pub bundle: Option<Bundle>,
}

impl Judged {
    /// How many errors were found.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// The first error, with its place and what to do about it.
    #[must_use]
    pub fn first_error(&self) -> Option<String> {
        let finding = self.findings.iter().find(|one| one.severity == Severity::Error)?;
        let place = finding.place.map(|place| format!(":{}:{}", place.line, place.column));
        let (file, code, message) = (&finding.file, finding.code, &finding.message);
        let place = place.unwrap_or_default();
        Some(format!("{file}{place}: {code}: {message}; {}", finding.help))
    }
}

impl Desired {
    /// Reads a manifest and everything it names.
    #[must_use]
    pub fn read(manifest: &Path) -> Self {
        Self { path: manifest.to_owned(), loaded: repository::read(manifest) }
    }

    /// The same for every reading of the same content, and for no other.
    #[must_use]
    pub const fn fingerprint(&self) -> [u8; 32] {
        self.loaded.fingerprint
    }

    /// The folders in which a change can change what was read.
    #[must_use]
    pub fn watched(&self) -> &[PathBuf] {
        &self.loaded.watched
    }

    /// The manifest as the user named it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.loaded.file
    }

    /// The manifest, lists resolved; absent where nothing of its text can be understood.
    #[must_use]
    pub const fn manifest(&self) -> Option<&Manifest> {
        self.loaded.manifest.as_ref()
    }

    /// The bundle that it makes, fit to run or not.
    #[must_use]
    pub fn bundle(&self) -> Option<Bundle> {
        self.loaded.bundle()?.ok()
    }

    /// Judges it, and makes the bundle where there is no error.
    ///
    /// # Errors
    /// The checks passed and there is no bundle all the same.
    pub fn judge(&self, beside: &Beside<'_>) -> Result<Judged, BundleError> {
        let ids = beside.running.map(|running| running.licenses(&self.loaded));
        let circumstances = Circumstances {
            running: ids.as_ref().map_or(Running::Nothing, Running::Licenses),
            signer: beside.signer,
            ..Circumstances::at(beside.now)
        };
        let checked = self.loaded.check(&repository::survey(&self.path), &circumstances);
        let bundle = match self.loaded.bundle() {
            Some(bundle) if checked.is_accepted() => Some(bundle?),
            _ => None,
        };
        Ok(Judged { findings: checked.findings, bundle })
    }

    /// Where it came from, as far as git knows. Without git it is nobody's commit, and counts as uncommitted.
    #[must_use]
    pub fn source(&self) -> Source {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let origin = self.path.canonicalize().ok().and_then(|manifest| {
            let git = Git::around(parent.unwrap_or(Path::new(".")))?;
            git.origin(&manifest, &self.loaded.used)
                .inspect_err(|error| tracing::debug!(%error, "git does not know the manifest"))
                .ok()
        });
        match origin {
            Some(origin) => Source {
                repository: origin.repository,
                commit: origin.commit,
                path: origin.path,
                dirty: origin.dirty,
            },
            None => Source {
                repository: None,
                commit: None,
                path: self.loaded.file.clone(),
                dirty: true,
            },
        }
    }
}
