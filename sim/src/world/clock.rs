//! The clocks of a simulated machine: they move with the simulation and with nothing else.

use tandem::measure::{Moment, Now, Span, Timestamp};
use tandem::seam::clock::Clock;

use crate::record::Recorder;

/// The clocks of one machine.
#[derive(Clone, Debug)]
pub struct SimClock {
    start: Timestamp,
    booted: Span,
    recorder: Recorder,
}

impl SimClock {
    /// The clocks of a machine that booted so long after the run began; `start` is the date at the run's begin.
    #[must_use]
    pub fn new(start: Timestamp, booted: Span, recorder: Recorder) -> Self {
        Self { start, booted, recorder }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Now {
        let elapsed = turmoil::sim_elapsed().map_or_else(
            || Span::from_ms(self.recorder.now()),
            |elapsed| Span::from_ms(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)),
        );
        // Like the clock of a real machine, this one starts at nothing with each boot: a moment that was stored and
        // read back after a restart means nothing, and a run shows it.
        Now { moment: Moment::from_ms(elapsed.less(self.booted).ms()), wall: self.start + elapsed }
    }
}
