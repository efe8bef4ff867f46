//! The command line: reads the arguments, runs one verb, ends with its exit code.
//!
//! A verb parses, calls one operation and prints. Exit codes are known to `error` alone, streams to `output` alone.

mod board;
mod child;
pub mod diagnostics;
pub mod error;
mod event_log;
mod kept;
pub mod key_file;
mod local;
mod operator;
pub mod output;
mod planning;
mod screen;
mod servers;
mod starter;
mod teller;
mod verb;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};

use crate::seam::World;
use error::{Exit, Failure};
use output::Output;

/// Serves floating licenses from a redundant pair of servers, configured only by a manifest in git.
#[derive(Debug, Parser)]
#[command(name = "tandem", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// Print results and errors only.
    #[arg(short, long, global = true, display_order = 900, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more about what is done; twice and three times for more. `TANDEM_LOG` takes a finer filter.
    #[arg(short, long, global = true, display_order = 901, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    verb: Option<verb::Verb>,
}

/// What every verb is given: where it prints, and the world it acts on.
pub struct Context {
    /// Where results and notes go.
    pub output: Output,
    /// Sockets, clocks and randomness.
    pub world: World,
}

impl Context {
    /// Runs the asynchronous part of a verb to its end.
    ///
    /// # Errors
    /// The operating system gives no threads or events.
    pub fn block_on<F: Future>(&self, work: F) -> Result<F::Output, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let result = runtime.block_on(work);
        // What is still reading a terminal or resolving a name must not hold the process back.
        runtime.shutdown_background();
        Ok(result)
    }
}

/// The program's arguments, as the manual pages, completions and `docs/reference/cli.md` describe them.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program with the arguments of this process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; anything else is a mistake in the arguments.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return match error.print() {
                Ok(()) => exit.code(),
                Err(_) => Exit::PipeClosed.code(),
            };
        }
    };
    let context = Context { output: Output::new(cli.quiet), world: World::real() };
    let result = output::log(cli.quiet, cli.verbose).and_then(|()| match cli.verb {
        Some(verb) => verb.run(&context),
        None => {
            let help = command().render_help();
            context.output.text(&help.ansi().to_string()).map(|()| Exit::Done)
        }
    });
    result.unwrap_or_else(|failure| context.output.failure(&failure)).code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
