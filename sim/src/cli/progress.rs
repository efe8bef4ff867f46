//! What long work shows meanwhile: a bar on a terminal, a line now and then where there is none.

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::say;

/// How often a line is written, in seconds.
const EVERY: u64 = 10;

/// A bar on a terminal, hidden anywhere else; of so many where that is known.
pub(crate) fn bar(total: Option<u64>, template: &str) -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(total, target);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Lines that are written every so often, by whichever thread comes first.
#[derive(Debug, Default)]
pub(crate) struct Lines(AtomicU64);

impl Lines {
    /// Writes how far the work of a bar is, where nobody sees the bar and a line is due: `text` is given the seconds.
    pub(crate) fn beside(&self, bar: &ProgressBar, text: impl FnOnce(u64) -> String) {
        let elapsed = bar.elapsed();
        if bar.is_hidden() && self.is_due(elapsed) {
            say(&text(elapsed.as_secs()));
        }
    }

    /// Whether another one is due, so long after the work began.
    pub(crate) fn is_due(&self, elapsed: Duration) -> bool {
        let times = elapsed.as_secs() / EVERY;
        self.0.fetch_max(times, Ordering::Relaxed) < times
    }
}
