//! A manifest and every file it names, read together from a folder on disk or from a commit of git.
//!
//! Bytes in, values out: what they mean is judged by `manifest`. Everything that was read is bounded, stays inside
//! of the tree, and is reported, so that a watcher knows what to watch.

mod against;
mod commit;
mod folder;
mod git;
mod load;
mod survey;
mod tree;

pub use against::{Against, AgainstError, against};
pub use commit::Commit;
pub use folder::Folder;
pub use git::{Git, GitError};
pub use load::{Loaded, read, read_from};
pub use survey::{Survey, survey};
pub use tree::{Kind, Tree};

#[cfg(test)]
mod tests;
