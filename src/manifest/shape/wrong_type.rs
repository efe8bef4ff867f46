//! A value of the wrong type.
//!
//! A list where a text must be, a text where a number must be, and so on.
//!
//! ```yaml
//! servers:
//!   - name: lic-a
//!     port: "4820"
//! ```
//!
//! **What to do:** Write what the message asks for. A number has no quotes; a list has a `-` before each entry, or brackets.

use crate::manifest::finding::Code;

/// A value of the wrong type.
pub static CODE: Code = Code::error("E0015", "wrong-type");
