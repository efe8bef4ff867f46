//! More seats reserved than allowed.
//!
//! An assignment keeps more seats free (`reserve`) than it may ever use (`max`): the difference is lost to everybody.
//!
//! ```yaml
//! seats:
//!   - product: designer
//!     assign:
//!       - group: hardware
//!         reserve: 5
//!         max: 3
//! ```
//!
//! **What to do:** Lower `reserve` or raise `max`.

use crate::manifest::finding::Code;

/// More seats reserved than allowed.
pub static CODE: Code = Code::error("E0030", "reserve-above-max");
