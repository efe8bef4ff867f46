//! What the program prints: results on standard output, everything else on standard error.
//!
//! Color only on a terminal and never with NO_COLOR. Text that comes from files or the network goes through
//! [`escape`] before it is printed, in logs too. A reader that has gone away ends the program quietly.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};

use serde::Serialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::error::{Exit, Failure};
pub use crate::text::escape;
use crate::text::is_unsafe;

/// The standard streams, and whether only results and errors are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    quiet: bool,
}

impl Output {
    /// The streams of this process; `quiet` drops notes.
    #[must_use]
    pub const fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Prints one line of a result. Foreign text in it must be escaped ([`quote`]).
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn line(&self, line: impl fmt::Display) -> Result<(), Failure> {
        self.text(&format!("{line}\n"))
    }

    /// Prints a result as it is; it ends its own lines.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        let mut stream = anstream::stdout().lock();
        written(stream.write_all(text.as_bytes()).and_then(|()| stream.flush()))
    }

    /// Prints a result as one JSON document of several lines.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn json(&self, document: &impl Serialize) -> Result<(), Failure> {
        self.bytes(json(document)?.as_bytes())
    }

    /// Prints an event as one line of JSON (`--format jsonl`).
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn json_line(&self, event: &impl Serialize) -> Result<(), Failure> {
        let text = safe_json(&serde_json::to_string(event)?);
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Prints a result that other programs read: never with color, never without.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stream = io::stdout().lock();
        written(stream.write_all(bytes).and_then(|()| stream.flush()))
    }

    /// Tells something by the way, on standard error; nothing with `-q`. Foreign text in it must be escaped.
    pub fn note(&self, note: impl fmt::Display) {
        if !self.quiet {
            say(&format!("{note}\n"));
        }
    }

    /// Warns, on standard error. The whole text is escaped.
    pub fn warning(&self, warning: &str) {
        say(&format!("{} {}\n", paint(Style::Warning, "warning:"), escape(warning)));
    }

    /// Tells why the program failed, and how it ends by it. The whole text is escaped.
    #[must_use]
    pub fn failure(&self, failure: &Failure) -> Exit {
        if failure.exit() != Exit::PipeClosed {
            let mut text =
                format!("{} {}\n", paint(Style::Error, "error:"), escape(failure.message()));
            for cause in failure.causes() {
                text.push_str(&format!("  caused by: {}\n", escape(cause)));
            }
            for help in failure.help() {
                text.push_str(&format!("{} {}\n", paint(Style::Help, "help:"), escape(help)));
            }
            say(&text);
        }
        failure.exit()
    }

    /// Asks a question that is answered with yes or no. Without a terminal nobody is asked.
    ///
    /// # Errors
    /// There is no terminal to ask on, or it cannot be read.
    pub fn confirm(&self, question: &str, without: &str) -> Result<bool, Failure> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Failure::new("there is no terminal to ask on").with_help(without));
        }
        say(&format!("{question} [y/N] "));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Whether progress of long work is to be shown.
    #[must_use]
    pub fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }
}

/// Tells something that is not the result, on standard error, `-q` or not. Foreign text in it must be escaped.
pub fn tell(text: &str) {
    if !text.is_empty() {
        say(text);
    }
}

/// Writes to standard error. If that fails there is nobody left to tell.
fn say(text: &str) {
    let mut stream = anstream::stderr().lock();
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::pipe_closed()),
        Err(error) => Err(Failure::from(error).with_context("the result could not be printed")),
        Ok(()) => Ok(()),
    }
}

/// How a piece of text for people stands out. What it says must be clear without color too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// What is wrong.
    Error,
    /// What may be wrong.
    Warning,
    /// What to do.
    Help,
    /// What is in order.
    Good,
    /// Headings and names.
    Strong,
    /// What matters less.
    Faint,
}

/// The text in a style. Where the stream is no terminal the style is stripped as it is printed.
#[must_use]
pub fn paint(style: Style, text: &str) -> String {
    let code = match style {
        Style::Error => "1;31",
        Style::Warning => "1;33",
        Style::Help => "1;36",
        Style::Good => "1;32",
        Style::Strong => "1",
        Style::Faint => "2",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// A name or other foreign text, escaped and between backticks.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("`{}`", escape(text))
}

/// One JSON document of several lines, as [`Output::json`] prints it.
///
/// # Errors
/// The document has a map whose keys are no texts.
pub fn json(document: &impl Serialize) -> Result<String, Failure> {
    Ok(format!("{}\n", safe_json(&serde_json::to_string_pretty(document)?)))
}

/// The same JSON with what [`escape`] escapes as `\uXXXX`: it can only stand inside texts.
fn safe_json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unsafe(character) && character != '\n' {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Starts the log on standard error: warnings, with `-v` what is done, with `-vv` and `-vvv` how.
///
/// # Errors
/// `TANDEM_LOG` is not a filter.
pub fn log(quiet: bool, verbose: u8) -> Result<(), Failure> {
    let level = match verbose {
        _ if quiet => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let filter = match std::env::var("TANDEM_LOG") {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text).map_err(|error| {
            Failure::from(error)
                .with_context("`TANDEM_LOG` is not a log filter")
                .with_help("set it to a level (`debug`) or to levels by module (`tandem::pair=trace,warn`)")
                .with_exit(Exit::Usage)
        })?,
        _ => EnvFilter::default().add_directive(level.into()),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| EscapedLines)
        .try_init()
        .map_err(|error| Failure::new(format!("the log could not be started: {error}")))
}

/// Standard error for the log, which writes one event at a time: one line each, whatever names are in it.
struct EscapedLines;

impl Write for EscapedLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        say(&format!("{}\n", escape(text.trim_end_matches('\n'))));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn plain_text_is_left_alone() {
        assert!(matches!(escape("Zoë `a\\b` 漢字"), Cow::Borrowed("Zoë `a\\b` 漢字")));
    }

    #[test]
    fn json_is_safe_to_print_and_says_the_same() {
        let text = "a\nb\u{7f}\u{202e}\u{9b}\u{e0041}漢".to_owned();
        let printed = json(&[&text]).expect("JSON");
        assert!(printed.chars().all(|c| c == '\n' || !is_unsafe(c)), "{printed}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&printed).expect("JSON"), [text]);
    }

    #[test]
    fn what_moves_the_cursor_or_the_reading_is_escaped() {
        assert_eq!(escape("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(
            escape("\u{202e}fla\u{2028}\u{9b}\u{200f}"),
            "\\u{202e}fla\\u{2028}\\u{9b}\\u{200f}"
        );
        assert_eq!(quote("x\ty"), "`x\\ty`");
    }
}
