//! A redundancy mode, as it is asked for.

use tandem::manifest::types::Mode;

/// A redundancy mode, as it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ModeArg {
    /// Each side serves its own capacity while it cannot hear the other.
    Mirror,
    /// Each side serves its share, so that the capacity is never exceeded.
    Escrow,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Mirror => Self::Mirror,
            ModeArg::Escrow => Self::Escrow,
        }
    }
}
