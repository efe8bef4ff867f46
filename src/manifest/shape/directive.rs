//! A YAML directive.
//!
//! Lines that begin with `%` (`%YAML 1.1`, `%TAG`) change how YAML is read. A manifest has one meaning.
//!
//! ```yaml
//! %YAML 1.1
//! ---
//! apiVersion: tandem/v1
//! ```
//!
//! **What to do:** Remove the line.

use crate::manifest::finding::Code;

/// A YAML directive.
pub static CODE: Code = Code::error("E0006", "directive");
