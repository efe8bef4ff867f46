//! Following a manifest on disk: when it counts as written, what to do then.

pub mod files;
pub mod settle;
pub mod steer;
