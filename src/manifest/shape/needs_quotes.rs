//! A text that YAML reads as something else.
//!
//! Without quotes, YAML reads `no`, `yes`, `on`, `off`, `y`, `n` and `true` as booleans, `0777`, `1e3`, `1_000` and
//! `1:30` as numbers, `2026-01-31` as a date and `.inf` as infinity; which of them depends on the reader. The user `no`
//! would be `false` to one tool and `no` to another.
//!
//! ```yaml
//! users:
//!   - name: no
//! ```
//!
//! **What to do:** Quote it: `name: "no"`.

use crate::manifest::finding::Code;

/// A text that YAML reads as something else.
pub static CODE: Code = Code::error("E0016", "needs-quotes");
