//! Anchors that explode.
//!
//! Aliases of aliases grow without bounds (the "billion laughs"). All aliases together may unfold to 100,000 aliases
//! and to 4,000,000 values, there are at most 100,000 anchors, and an anchor must not contain itself.
//!
//! ```yaml
//! groups: &g
//!   - name: all
//!     members: *g
//! ```
//!
//! **What to do:** Write out what is meant. A group names people once for many products.

use crate::manifest::finding::Code;

/// Anchors that explode.
pub static CODE: Code = Code::error("E0010", "exploding-anchors");
