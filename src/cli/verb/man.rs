//! `tandem man`: the manual pages of the program and its verbs.

use std::path::{Path, PathBuf};

use clap_mangen::Man;

use crate::cli::error::{Exit, Explain as _, Failure};
use crate::cli::output::quote;
use crate::cli::{Context, command};

/// Arguments of `tandem man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write the page of the program and one of each verb into this directory, `tandem.1` and so on, instead of
    /// printing the first.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let Some(dir) = self.out else {
            let mut page = Vec::new();
            Man::new(command()).render(&mut page)?;
            cx.output.bytes(&page)?;
            return Ok(Exit::Done);
        };
        write_all(&dir).context(|| format!("{} could not be written", shown(&dir)))?;
        cx.output.note(format_args!("wrote the pages to {}", shown(&dir)));
        Ok(Exit::Done)
    }
}

fn write_all(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(command(), dir)
}

fn shown(dir: &Path) -> String {
    quote(&dir.display().to_string())
}
