//! The text is no YAML.
//!
//! The text cannot be read any further at this place, so nothing after it was checked.
//!
//! ```yaml
//! users:
//!   - name: ana
//!     key: "ssh-ed25519 AAAA
//! ```
//!
//! **What to do:** Correct the syntax. Mostly it is indentation, an open quote, or a text that wants quotes because it contains `: `
//! or ` #` or begins with one of `* & ! % @ { [`.

use crate::manifest::finding::Code;

/// The text is no YAML.
pub static CODE: Code = Code::error("E0003", "yaml-syntax");
