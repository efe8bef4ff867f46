//! `tandem sim`: runs `tandem-sim`, as git and cargo run theirs.
//!
//! It finds the program and passes on words and exit code; it knows nothing of simulation.

use std::env::consts::EXE_SUFFIX;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cli::Context;
use crate::cli::child::Running;
use crate::cli::error::{Exit, Failure};

/// Arguments of `tandem sim`.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub(crate) struct Args {
    /// What `tandem-sim` is told, `--help` too.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    words: Vec<OsString>,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let program = find().ok_or_else(|| {
            Failure::new("`tandem-sim` is neither beside this program nor on `PATH`")
                .with_help(
                    "in a checkout of Tandem build it with `cargo build --release -p tandem-sim`; elsewhere install it \
                     beside `tandem`",
                )
                .with_exit(Exit::CommandNotFound)
        })?;
        let words: Vec<OsString> =
            [program.into_os_string()].into_iter().chain(self.words).collect();
        cx.block_on(async { Running::start(&words)?.ended().await })?
    }
}

/// The program: beside this one, else on `PATH`.
fn find() -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    // A checkout's debug build is joined by the release build of the simulation, which is what its help says to build.
    let release = beside
        .as_deref()
        .filter(|dir| dir.file_name().is_some_and(|name| name == "debug"))
        .map(|dir| dir.with_file_name("release"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = release.into_iter().chain(beside).chain(std::env::split_paths(&path));
    let name = format!("tandem-sim{EXE_SUFFIX}");
    dirs.map(|dir| dir.join(&name)).find(|program| program.is_file())
}
