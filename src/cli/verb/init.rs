//! `tandem init`: a repository to start from.

use std::path::PathBuf;

use crate::cli::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::output::{Style, escape, paint, quote};
use crate::cli::starter::{self, Deed};

/// Arguments of `tandem init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to write it; in a directory that is not empty only what is missing is written.
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let deeds = starter::write(&self.directory, &cx.world)?;
        for (path, deed) in &deeds {
            let path = quote(path);
            match deed {
                Deed::Wrote => {
                    cx.output.line(format_args!("{} {path}", paint(Style::Good, "wrote")))?;
                }
                Deed::Kept => cx
                    .output
                    .line(format_args!("{} {path} as it was", paint(Style::Faint, "kept")))?,
                Deed::LeftOut => cx.output.line(format_args!(
                    "{} {path}: a new one would not match the files that are there",
                    paint(Style::Warning, "left out")
                ))?,
            }
        }
        if deeds.iter().any(|(_, deed)| *deed == Deed::Wrote) {
            self.next_steps(cx)?;
        }
        Ok(Exit::Done)
    }

    fn next_steps(&self, cx: &Context) -> Result<(), Failure> {
        let there = self.directory.display().to_string();
        cx.output.line("")?;
        cx.output.line(paint(Style::Strong, "Next:"))?;
        if there != "." {
            cx.output.line(format_args!("  cd {}", escape(&there)))?;
        }
        cx.output.text(concat!(
            "  git init && git add . && git commit -m \"A pair of license servers\"\n",
            "  tandem validate tandem.yaml\n",
            "  tandem up tandem.yaml    # both servers on this machine; Ctrl-C stops them\n",
            "Keep `keys/operator` and `keys/vendor` to yourself: git ignores them.\n",
        ))
    }
}
