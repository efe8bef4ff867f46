//! A command that a verb runs: that it cannot be run, and how it ends, are told as shells tell it.
//!
//! Processes and signals are the seam's.

use std::ffi::OsString;

use super::error::{Exit, Failure};
use super::output::quote;
use crate::seam::process::{self, Ended};

/// A command that runs on this process's own streams.
pub(crate) struct Running(process::Running);

impl Running {
    /// Starts a command. From then on signals to this process are the command's.
    pub(crate) fn start(words: &[OsString]) -> Result<Self, Failure> {
        let (program, arguments) =
            words.split_first().ok_or_else(|| Failure::usage("no command is named"))?;
        process::Running::start(program, arguments).map(Self).map_err(|error| {
            let (exit, help) = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    (Exit::CommandNotFound, "check its name and `PATH`")
                }
                _ => (Exit::CannotRun, "check its permissions"),
            };
            Failure::from(error)
                .with_context(format!("{} cannot be run", quote(&program.to_string_lossy())))
                .with_help(help)
                .with_exit(exit)
        })
    }

    /// Waits until the command ends, passing signals on to it. Nothing is lost by dropping the future.
    pub(crate) async fn ended(&mut self) -> Result<Exit, Failure> {
        let code = match self.0.ended().await? {
            Ended::Code(code) => code,
            Ended::Signal(signal) => signal.saturating_add(128),
        };
        Ok(Exit::Command(u8::try_from(code).unwrap_or(1)))
    }

    /// Asks the command to end.
    pub(crate) fn terminate(&mut self) -> Result<(), Failure> {
        Ok(self.0.terminate()?)
    }
}
