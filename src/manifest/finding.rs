//! A finding: one thing that is wrong with a manifest, where it is, and what to do about it.
//!
//! Checks make findings and never stop at the first; how they are shown is the command line's.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of finding: its number, its name and how grave it is. `codes` lists them all.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The number, for example `E0103`.
    pub id: &'static str,
    /// The name, for example `role-mismatch`.
    pub name: &'static str,
    /// How grave it is unless a flag says otherwise.
    pub severity: Severity,
}

impl Code {
    /// A kind of finding that is an error.
    #[must_use]
    pub const fn error(id: &'static str, name: &'static str) -> Self {
        Self { id, name, severity: Severity::Error }
    }

    /// A kind of finding that is a warning unless a flag says otherwise.
    #[must_use]
    pub const fn warning(id: &'static str, name: &'static str) -> Self {
        Self { id, name, severity: Severity::Warning }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.name)
    }
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The manifest cannot be applied.
    Error,
    /// It can, but somebody should look.
    Warning,
}

/// A stretch of a file: lines and columns from 1, columns in Unicode scalar values, the end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line on which it begins.
    pub line: u32,
    /// The column at which it begins.
    pub column: u32,
    /// The line on which it ends.
    pub end_line: u32,
    /// The column after its last character.
    pub end_column: u32,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub code: &'static Code,
    /// How grave: the code's own severity unless a flag made it an error.
    pub severity: Severity,
    /// The file it is in, as the user would name it; a bundle's own path for what a server finds.
    pub file: String,
    /// Where in the file; absent where the file has no text (a server judges values, not YAML).
    pub place: Option<Place>,
    /// What is wrong with which thing.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// The source line, of manifests only: never of license or list files (formats.md, "Hostile input").
    pub source: Option<String>,
}
