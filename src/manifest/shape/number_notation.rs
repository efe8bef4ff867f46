//! A number in another notation.
//!
//! An integer is written in decimal digits, with `-` before it where it may be negative. `0777` is octal to some
//! readers, `1e3` a number with a fraction, `1_000` a text, `1:30` ninety.
//!
//! ```yaml
//! servers:
//!   - name: lic-a
//!     port: 04820
//! ```
//!
//! **What to do:** Write the digits alone.

use crate::manifest::finding::Code;

/// A number in another notation.
pub static CODE: Code = Code::error("E0017", "number-notation");
