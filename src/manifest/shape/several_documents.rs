//! A file has several documents.
//!
//! `---` begins another YAML document. One file describes one pair; what follows would be read by nobody.
//!
//! ```yaml
//! kind: LicensePair
//! ---
//! kind: LicensePair
//! ```
//!
//! **What to do:** Keep one document. A second pair has its own file.

use crate::manifest::finding::Code;

/// A file has several documents.
pub static CODE: Code = Code::error("E0005", "several-documents");
