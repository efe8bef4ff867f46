//! Tells events of `apply`, `watch` and `up` as they happen: sentences for people, lines of JSON for programs.

use std::sync::Arc;

use tokio::sync::Notify;

use super::error::Failure;
use super::output::{Output, Style, paint};
use crate::reconcile::event::{Event, LINE_SCHEMA, Line};
use crate::seam::clock::Clock;

/// How events are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Lines {
    /// Sentences for people.
    #[default]
    Human,
    /// A line of JSON an event, each with a `schema` version.
    Jsonl,
}

/// Prints events, numbered from 1.
pub(crate) struct Teller {
    output: Output,
    clock: Arc<dyn Clock>,
    lines: Lines,
    is_timed: bool,
    seq: u64,
    failure: Option<Failure>,
    gone: Arc<Notify>,
}

impl Teller {
    /// Nothing told yet. `is_timed` puts the time before each sentence: for what runs on.
    pub(crate) fn new(output: Output, clock: Arc<dyn Clock>, lines: Lines, is_timed: bool) -> Self {
        Self { output, clock, lines, is_timed, seq: 0, failure: None, gone: Arc::default() }
    }

    /// Tells one.
    pub(crate) fn tell(&mut self, event: &Event) {
        self.seq += 1;
        let at = self.clock.now().wall;
        let printed = match self.lines {
            Lines::Jsonl => {
                let line = Line { schema: LINE_SCHEMA, seq: self.seq, at, event };
                self.output.json_line(&line)
            }
            Lines::Human => {
                let time = if self.is_timed { format!("{at}  ") } else { String::new() };
                self.output.line(format_args!("{time}{}", sentence(event)))
            }
        };
        if let Err(failure) = printed {
            self.failure.get_or_insert(failure);
            self.gone.notify_one();
        }
    }

    /// What could not be printed.
    ///
    /// # Errors
    /// Standard output was closed or full.
    pub(crate) fn end(self) -> Result<(), Failure> {
        self.failure.map_or(Ok(()), Err)
    }

    /// Is told once whoever read the events has gone: what runs on can end then.
    pub(crate) fn gone(&self) -> Arc<Notify> {
        Arc::clone(&self.gone)
    }
}

/// An event as a sentence.
pub(crate) fn sentence(event: &Event) -> String {
    let text = event.to_string();
    match event {
        event if event.is_trouble() => paint(Style::Warning, &text),
        Event::InSync { .. } => paint(Style::Good, &text),
        _ => text,
    }
}
