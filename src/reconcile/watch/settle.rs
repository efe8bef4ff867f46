//! When content counts as written: it read the same twice, far enough apart.
//!
//! A manifest that is half written can be valid YAML with fewer users, so nothing is acted on while somebody may
//! still be writing. Pure: it is told what was read and when, and knows nothing of files.

use crate::measure::{Moment, Span};

/// How far apart the two readings are, at least.
///
/// Moments are whole milliseconds, cut off: one more makes sure of the whole 500.
pub const APART: Span = Span::from_ms(501);

/// What to do about content that was just read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is what was settled last: nothing happened.
    Unchanged,
    /// It is new: read again after this span.
    Unsettled(Span),
    /// It is new and read the same twice: act on it.
    Settled,
}

/// Watches content settle. `F` stands for the content: a hash of all of it.
#[derive(Debug)]
pub struct Settle<F> {
    /// What was read last, and when the first reading of it had ended.
    last: Option<(F, Moment)>,
    /// What was acted on.
    settled: Option<F>,
}

impl<F> Default for Settle<F> {
    fn default() -> Self {
        Self { last: None, settled: None }
    }
}

impl<F: PartialEq + Clone> Settle<F> {
    /// Content counts as written without waiting: what was there before anybody began to watch.
    pub fn take(&mut self, content: F) {
        self.settled = Some(content);
    }

    /// Content was read, from `began` to `ended`.
    ///
    /// Only the time between the end of one reading and the beginning of the next counts: a piece written while
    /// either goes on may be missed by it.
    pub fn read(&mut self, content: F, began: Moment, ended: Moment) -> Reading {
        let same = match &self.last {
            Some((last, since)) if *last == content => Some(began.since(*since)),
            _ => None,
        };
        let rested = same.unwrap_or_else(|| {
            self.last = Some((content.clone(), ended));
            Span::ZERO
        });
        if self.settled.as_ref() == Some(&content) {
            Reading::Unchanged
        } else if rested >= APART {
            self.settled = Some(content);
            Reading::Settled
        } else {
            Reading::Unsettled(APART.less(rested))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_ms(ms)
    }

    fn read(settle: &mut Settle<u8>, content: u8, ms: u64) -> Reading {
        settle.read(content, at(ms), at(ms))
    }

    #[test]
    fn content_settles_when_it_read_the_same_twice() {
        let mut settle = Settle::default();
        assert_eq!(read(&mut settle, 1, 0), Reading::Unsettled(Span::from_ms(501)));
        assert_eq!(read(&mut settle, 1, 400), Reading::Unsettled(Span::from_ms(101)));
        assert_eq!(read(&mut settle, 1, 501), Reading::Settled);
        assert_eq!(read(&mut settle, 1, 2000), Reading::Unchanged);
    }

    #[test]
    fn each_piece_starts_the_wait_anew() {
        let mut settle = Settle::default();
        read(&mut settle, 1, 0);
        assert_eq!(read(&mut settle, 2, 499), Reading::Unsettled(APART));
        assert_eq!(read(&mut settle, 2, 998), Reading::Unsettled(Span::from_ms(2)));
        assert_eq!(read(&mut settle, 2, 1000), Reading::Settled);
    }

    #[test]
    fn an_edit_taken_back_in_time_never_happened() {
        let mut settle = Settle::default();
        read(&mut settle, 1, 0);
        read(&mut settle, 1, 501);
        assert_eq!(read(&mut settle, 2, 600), Reading::Unsettled(APART));
        assert_eq!(read(&mut settle, 1, 700), Reading::Unchanged);
        assert_eq!(read(&mut settle, 2, 1200), Reading::Unsettled(APART));
    }

    #[test]
    fn time_spent_reading_does_not_count() {
        let mut settle = Settle::default();
        settle.read(1, at(0), at(400));
        assert_eq!(settle.read(1, at(501), at(900)), Reading::Unsettled(Span::from_ms(400)));
        assert_eq!(settle.read(1, at(901), at(950)), Reading::Settled);
    }

    proptest! {
        /// A file written in pieces, each less than 500 ms after the one before, is acted on only when whole,
        /// whenever it is looked at.
        #[test]
        fn no_part_of_a_file_is_acted_on(
            gaps in prop::collection::vec(1_u64..500, 1..12),
            looks in prop::collection::vec(1_u64..700, 1..60),
        ) {
            let mut written = Vec::new();
            let mut time = 0;
            for gap in &gaps {
                time += gap;
                written.push(time);
            }
            let mut settle = Settle::default();
            let mut now = written.first().copied().unwrap_or_default();
            for look in looks {
                let pieces = written.iter().filter(|&&piece| piece <= now).count();
                if settle.read(pieces, at(now), at(now)) == Reading::Settled {
                    prop_assert_eq!(pieces, written.len());
                }
                now += look;
            }
        }
    }
}
