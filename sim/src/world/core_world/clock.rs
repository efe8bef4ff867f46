//! The clocks of one machine: a monotonic one with a rate of its own that begins at each boot, and a wall clock that
//! can be set.

use tandem::measure::{Moment, Now, Timestamp};

use super::queue::{MS, Micros};

/// Millionths: the unit of a rate.
const MILLION: i64 = 1_000_000;

/// The clocks of a machine.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// Since when the rate is what it is.
    since: Micros,
    /// What the monotonic clock showed then, in microseconds.
    shown: Micros,
    /// How much faster than true time it runs, in millionths.
    ppm: i64,
    /// What the wall clock is ahead of the monotonic one, in milliseconds.
    wall_ahead: i64,
}

impl Clock {
    /// A machine that gets power at this time, at a date.
    pub(super) fn new(now: Micros, ppm: i64, wall: Timestamp) -> Self {
        Self { since: now, shown: 0, ppm, wall_ahead: wall.ms() }
    }

    /// The monotonic clock shows this much more: where it begins means nothing.
    pub(super) fn set_phase(&mut self, ahead: Micros) {
        self.shown += ahead;
    }

    fn micros(&self, now: Micros) -> Micros {
        let passed = now.saturating_sub(self.since);
        let gained = i64::try_from(passed).unwrap_or(i64::MAX / MILLION) * self.ppm / MILLION;
        self.shown + passed.saturating_add_signed(gained)
    }

    /// What the machine's clocks show.
    pub(super) fn now(&self, now: Micros) -> Now {
        let ms = self.micros(now) / MS;
        let wall = i64::try_from(ms).unwrap_or(i64::MAX).saturating_add(self.wall_ahead);
        Now { moment: Moment::from_ms(ms), wall: Timestamp::from_ms(wall) }
    }

    /// When the machine's monotonic clock shows this moment: now, where it has.
    pub(super) fn reaches(&self, moment: Moment, now: Micros) -> Micros {
        let (target, shown) = (moment.ms().saturating_mul(MS), self.micros(now));
        if target <= shown {
            return now;
        }
        let left = i64::try_from(target - shown).unwrap_or(i64::MAX / MILLION);
        let ticks = left.saturating_mul(MILLION) / (MILLION + self.ppm);
        let mut at = now.saturating_add(u64::try_from(ticks).unwrap_or(0));
        // Both divisions round down.
        while self.micros(at) < target {
            at += 1;
        }
        at
    }

    /// Runs at another rate from now on.
    pub(super) fn set_rate(&mut self, ppm: i64, now: Micros) {
        self.shown = self.micros(now);
        self.since = now;
        self.ppm = ppm;
    }

    /// The wall clock is set: so much ahead, or back.
    pub(super) fn jump(&mut self, ms: i64) {
        self.wall_ahead = self.wall_ahead.saturating_add(ms);
    }

    /// The machine gets power again: the monotonic clock begins anew, the wall clock went on.
    pub(super) fn reboot(&mut self, now: Micros) {
        let ms = i64::try_from(self.micros(now) / MS).unwrap_or(i64::MAX);
        self.wall_ahead = self.wall_ahead.saturating_add(ms);
        self.shown = 0;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_when_the_machines_own_clock_shows_it() {
        for ppm in [-10_000, -137, 0, 250, 10_000] {
            let mut clock = Clock::new(1_234, ppm, Timestamp::from_ms(0));
            for ms in [1, 999, 120_000, 86_400_000] {
                let moment = Moment::from_ms(ms);
                let at = clock.reaches(moment, 1_234);
                assert!(clock.now(at).moment >= moment, "{ppm} {ms}");
                assert!(clock.now(at - 1).moment < moment, "{ppm} {ms}");
            }
            clock.set_rate(-ppm, 5_000_000);
            let moment = Moment::from_ms(60_000);
            assert_eq!(clock.now(clock.reaches(moment, 5_000_000)).moment, moment);
        }
    }

    #[test]
    fn a_reboot_begins_the_monotonic_clock_anew_and_not_the_wall() {
        let mut clock = Clock::new(0, 0, Timestamp::from_ms(1_000));
        clock.jump(500);
        clock.reboot(7_000_000);
        let now = clock.now(8_000_000);
        assert_eq!((now.moment.ms(), now.wall.ms()), (1_000, 9_500));
    }
}
