//! The verbs, one file each: its arguments, the one operation it calls, what it prints.
//!
//! To add one: a file `verb/NAME.rs` with `#[derive(Debug, clap::Args)] pub(crate) struct Args` (doc comments are the
//! help texts) and `pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure>`, then three lines here: the
//! `mod`, the variant with its one-line help, and the arm in `run`. Its tests are `tests/cli/NAME.rs`.

mod key;

use super::Context;
use super::error::{Exit, Failure};

/// What `tandem` is asked to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Make and show the SSH keys that operators sign with.
    Key(key::Args),
}

impl Verb {
    /// Does it.
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Key(args) => args.run(cx),
        }
    }
}

/// How a result is printed, where a verb has these two ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    #[default]
    Human,
    /// One JSON document with a `schema` version.
    Json,
}
