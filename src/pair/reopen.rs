//! When a server whose disk failed a write opens it again (rule 11).

use crate::measure::{Moment, Span};

/// How long a disk that failed again, or that cannot be opened, is left alone.
pub const REOPEN_AFTER: Span = Span::from_secs(1);
/// Within what time a failure before counts: a full disk may take a small write, and a broken one every other.
const FAILED_LATELY: Span = Span::from_secs(10);

/// What is remembered of a disk from one opening to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reopening {
    failed: Option<Moment>,
}

impl Reopening {
    /// How long to wait before the disk is opened again, now that everything is dropped: because it `failed` a write, or
    /// for another reason. It is not tried in a loop without a rest.
    pub fn pause(&mut self, now: Moment, failed: bool) -> Span {
        if !failed {
            return Span::ZERO;
        }
        let lately = self.failed.is_some_and(|before| now.since(before) < FAILED_LATELY);
        self.failed = Some(now);
        if lately { REOPEN_AFTER } else { Span::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_again_within_ten_seconds_is_left_alone_for_one() {
        let mut disk = Reopening::default();
        let mut pause = |ms, failed| disk.pause(Moment::from_ms(ms), failed).ms();
        assert_eq!(pause(1_000, true), 0, "once is nothing");
        assert_eq!(pause(2_000, false), 0, "it begins anew for another reason");
        assert_eq!(pause(10_999, true), 1_000, "whatever it took in between");
        assert_eq!(pause(20_998, true), 1_000);
        assert_eq!(pause(30_998, true), 0, "it was well for ten seconds");
    }
}
