//! `tandem completions`: what a shell needs to complete words of this program.

use crate::cli::error::{Exit, Failure};
use crate::cli::{Context, command};

/// Arguments of `tandem completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For which shell.
    shell: clap_complete::Shell,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command(), "tandem", &mut script);
        cx.output.bytes(&script)?;
        Ok(Exit::Done)
    }
}
