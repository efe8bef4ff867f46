//! A path that leads elsewhere.
//!
//! Paths in a manifest are relative to its folder, have `/` between their parts, no `..` and no drive, so that a
//! manifest names only what is in its repository and means the same on every machine.
//!
//! ```yaml
//! servers:
//!   - name: lic-a
//!     licenses: ["C:\\licenses\\a.alf"]
//! ```
//!
//! **What to do:** Move the file into the repository and write its path from the manifest's folder.

use crate::manifest::finding::Code;

/// A path that leads elsewhere.
pub static CODE: Code = Code::error("E0029", "invalid-path");
