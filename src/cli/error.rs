//! How a verb ends: exit codes, and failures with what caused them and what to do about it.
//!
//! The only file that knows the numbers of exit codes (docs: exit codes). Operations below have their own error
//! enums; here they become text.

use std::error::Error;
use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// It failed, or what was checked is not in order.
    Failed,
    /// There are changes (`--detailed-exitcode`).
    Changes,
    /// The arguments make no sense.
    Usage,
    /// No server could be reached.
    Unreachable,
    /// No seat is free.
    NoSeat,
    /// Not entitled, denied, or an unknown product.
    NotEntitled,
    /// The command is there but cannot be run.
    CannotRun,
    /// The command is not there.
    CommandNotFound,
    /// As the command that was run ended: its own code, or 128 and the number of its signal.
    Command(u8),
    /// Interrupted (SIGINT, Ctrl-C).
    Interrupted,
    /// Told to end (SIGTERM).
    Terminated,
    /// Whoever read the output has gone (SIGPIPE).
    PipeClosed,
}

impl Exit {
    /// The exit code of the process.
    #[must_use]
    pub fn code(self) -> ExitCode {
        ExitCode::from(self.number())
    }

    const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::Usage => 64,
            Self::Unreachable => 69,
            Self::NoSeat => 75,
            Self::NotEntitled => 77,
            Self::CannotRun => 126,
            Self::CommandNotFound => 127,
            Self::Command(code) => code,
            Self::Interrupted => 130,
            Self::PipeClosed => 141,
            Self::Terminated => 143,
        }
    }
}

/// Why a verb did not do what it was asked: the message, what caused it, what to do about it.
///
/// Any error becomes one with `?`; [`Explain`] adds what it was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    message: String,
    causes: Vec<String>,
    help: Vec<String>,
}

impl Failure {
    /// A failure with a message of its own.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), causes: Vec::new(), help: Vec::new() }
    }

    /// Arguments that make no sense in a way that only the verb can see.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(message).with_exit(Exit::Usage)
    }

    /// Whoever read the output has gone: nobody is told.
    #[must_use]
    pub(super) fn pipe_closed() -> Self {
        Self::new("").with_exit(Exit::PipeClosed)
    }

    /// The same failure, ending in another way.
    #[must_use]
    pub fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// The same failure with one more thing to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// The same failure as the cause of what was being done.
    #[must_use]
    pub fn with_context(mut self, message: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, cause);
        self
    }

    /// The same failure with one more cause, the farthest.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// How the program ends by it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// What is wrong with which thing.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What caused it, the nearest cause first.
    #[must_use]
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &[String] {
        &self.help
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut said = error.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Many errors say what their cause says already.
            if !said.contains(&text) {
                causes.push(text.clone());
                said = text;
            }
            next = cause.source();
        }
        Self { causes, ..Self::new(error.to_string()) }
    }
}

/// Adds to an error what was being done and what helps.
pub trait Explain<T> {
    /// What was being done when the error came.
    ///
    /// # Errors
    /// The same error, with this as its message and what it said as the cause.
    fn context(self, message: impl FnOnce() -> String) -> Result<T, Failure>;

    /// What to do about the error.
    ///
    /// # Errors
    /// The same error with this advice.
    fn help(self, help: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Explain<T> for Result<T, E> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| error.into().with_context(message()))
    }

    fn help(self, help: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| error.into().with_help(help()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_makes_the_error_its_cause() {
        let error: Result<(), _> = Err(std::io::Error::other("disk on fire"));
        let failure = error
            .context(|| "`a` could not be read".to_owned())
            .help(|| "put it out".to_owned())
            .expect_err("a failure");
        assert_eq!(failure.message(), "`a` could not be read");
        assert_eq!(failure.causes(), ["disk on fire"]);
        assert_eq!(failure.help(), ["put it out"]);
        assert_eq!(failure.exit(), Exit::Failed);
    }
}
