//! A command that this process runs on its own streams: signals go on to it, and it ends as it wants to.

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    signals: Signals,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Running {
    /// Starts a command. From then on signals to this process are the command's.
    ///
    /// # Errors
    /// It is not there, or cannot be run.
    pub fn start(program: &OsString, arguments: &[OsString]) -> io::Result<Self> {
        let signals = Signals::take()?;
        let child = Command::new(program).args(arguments).stdin(Stdio::inherit()).spawn()?;
        Ok(Self { child, signals })
    }

    /// Waits until the command ends, passing signals on to it. Nothing is lost by dropping the future.
    ///
    /// # Errors
    /// The system does not tell.
    pub async fn ended(&mut self) -> io::Result<Ended> {
        loop {
            tokio::select! {
                biased;
                status = self.child.wait() => return Ok(ended(status?)),
                number = self.signals.next() => signal(&self.child, number),
            }
        }
    }

    /// Asks the command to end, where it can be asked; else ends it.
    ///
    /// # Errors
    /// The system does not let it be ended.
    pub fn terminate(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        signal(&self.child, tokio::signal::unix::SignalKind::terminate().as_raw_value());
        #[cfg(not(unix))]
        self.child.start_kill()?;
        Ok(())
    }
}

fn ended(status: ExitStatus) -> Ended {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Ended::Signal(signal);
    }
    Ended::Code(status.code().unwrap_or(1))
}

#[cfg(unix)]
fn signal(child: &Child, number: i32) {
    use rustix::process::{Pid, Signal, kill_process};
    let process = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let (Some(process), Some(signal)) = (process, Signal::from_named_raw(number)) {
        // It may have ended in between: then there is nobody to tell.
        let _ = kill_process(process, signal);
    }
}

/// The console tells every process of Ctrl-C itself.
#[cfg(not(unix))]
fn signal(_: &Child, _: i32) {}

/// The signals that are the command's.
#[cfg(unix)]
#[derive(Debug)]
struct Signals([tokio::signal::unix::Signal; 6]);

#[cfg(unix)]
impl Signals {
    fn take() -> io::Result<Self> {
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
            if !(is_of_terminal && is_foreground()) {
                return kind.as_raw_value();
            }
        }
    }
}

#[cfg(unix)]
fn is_foreground() -> bool {
    let terminal = rustix::stdio::stdin();
    rustix::termios::tcgetpgrp(terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}

#[cfg(not(unix))]
#[derive(Debug)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(not(unix))]
impl Signals {
    fn take() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    /// Takes note of Ctrl-C, so that it does not end this process before the command.
    async fn next(&mut self) -> i32 {
        self.0.recv().await;
        0
    }
}
