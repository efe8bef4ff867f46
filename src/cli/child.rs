//! A command that runs while a seat is held: signals go on to it, and it ends as it wants to.
//!
//! It knows processes, nothing of seats.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

use super::error::{Exit, Failure};
use super::output::quote;

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    #[cfg(unix)]
    signals: Signals,
}

impl Running {
    /// Starts a command on this process's own streams. From then on signals to this process are the command's.
    pub(crate) fn start(words: &[OsString]) -> Result<Self, Failure> {
        let (program, arguments) =
            words.split_first().ok_or_else(|| Failure::usage("no command is named"))?;
        #[cfg(unix)]
        let signals = Signals::take()?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::inherit());
        let child = command.spawn().map_err(|error| {
            let name = quote(&program.to_string_lossy());
            let is_missing = error.kind() == std::io::ErrorKind::NotFound;
            let exit = if is_missing { Exit::CommandNotFound } else { Exit::CannotRun };
            let help =
                if is_missing { "check its name and `PATH`" } else { "check its permissions" };
            Failure::from(error)
                .with_context(format!("{name} cannot be run"))
                .with_help(help)
                .with_exit(exit)
        })?;
        Ok(Self {
            child,
            #[cfg(unix)]
            signals,
        })
    }

    /// Waits until the command ends, passing signals on to it.
    #[cfg(unix)]
    pub(crate) async fn ended(&mut self) -> Result<Exit, Failure> {
        loop {
            tokio::select! {
                biased;
                status = self.child.wait() => return Ok(exit(status?)),
                number = self.signals.next() => self.signal(number),
            }
        }
    }

    /// Waits until the command ends. The console tells it of Ctrl-C itself.
    #[cfg(not(unix))]
    pub(crate) async fn ended(&mut self) -> Result<Exit, Failure> {
        loop {
            tokio::select! {
                biased;
                status = self.child.wait() => return Ok(exit(status?)),
                heard = tokio::signal::ctrl_c() => heard?,
            }
        }
    }

    /// Asks the command to end.
    pub(crate) fn terminate(&mut self) -> Result<(), Failure> {
        #[cfg(unix)]
        self.signal(tokio::signal::unix::SignalKind::terminate().as_raw_value());
        #[cfg(not(unix))]
        self.child.start_kill()?;
        Ok(())
    }

    #[cfg(unix)]
    fn signal(&self, number: i32) {
        if let Some(process) = self.child.id() {
            crate::seam::process::signal(process, number);
        }
    }
}

/// How a command ended, as shells tell it.
fn exit(status: ExitStatus) -> Exit {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Exit::Command(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    Exit::Command(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// The signals that are the command's.
#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 6]);

#[cfg(unix)]
impl Signals {
    fn take() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::quit())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
            signal(SignalKind::user_defined1())?,
            signal(SignalKind::user_defined2())?,
        ]))
    }

    /// The next one that the command has not got already: a terminal tells its whole foreground of Ctrl-C.
    async fn next(&mut self) -> i32 {
        use tokio::signal::unix::SignalKind;
        let [interrupt, quit, terminate, hangup, first, second] = &mut self.0;
        loop {
            let (kind, is_of_terminal) = tokio::select! {
                biased;
                _ = interrupt.recv() => (SignalKind::interrupt(), true),
                _ = quit.recv() => (SignalKind::quit(), true),
                _ = terminate.recv() => (SignalKind::terminate(), false),
                _ = hangup.recv() => (SignalKind::hangup(), false),
                _ = first.recv() => (SignalKind::user_defined1(), false),
                _ = second.recv() => (SignalKind::user_defined2(), false),
            };
            if !(is_of_terminal && crate::seam::process::is_foreground()) {
                return kind.as_raw_value();
            }
        }
    }
}
