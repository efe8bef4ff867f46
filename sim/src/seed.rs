//! The choice stream: every decision of a run is one draw, labelled and recorded in order.
//!
//! A seed starts the stream; a recorded list of choices replays it. Random bytes that are no decision (lease ids,
//! nonces) come from streams of their own, derived from the seed and a name, so that they do not shift the choices.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use tandem::measure::Span;

/// A small fast generator (SplitMix64): the same numbers on every machine, and no secret.
#[derive(Clone, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The stream that belongs to a seed and a name.
    #[must_use]
    pub fn named(seed: u64, name: &str) -> Self {
        // FNV-1a over the name keeps streams of one seed apart; the first draws mix what is left alike.
        let mut state = seed ^ 0xcbf2_9ce4_8422_2325;
        for byte in name.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mut stream = Self(state);
        stream.draw();
        stream
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Fills bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let next = self.draw().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(next) {
                *to = from;
            }
        }
    }
}

/// How many decisions a run makes without asking for more memory.
const MADE: usize = 4_096;

/// One decision of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What was decided.
    pub label: Cow<'static, str>,
    /// How many possibilities there were.
    pub of: u64,
    /// Which was taken, from 0.
    pub chosen: u64,
}

/// The decisions of one run: drawn from a seed, or taken from a recording and from the seed after its end.
#[derive(Clone, Debug)]
pub struct Choices {
    seed: u64,
    stream: Stream,
    given: std::vec::IntoIter<Choice>,
    /// Whether everything after the recording is the first possibility.
    is_exact: bool,
    made: Vec<Choice>,
}

impl Choices {
    /// Decisions drawn from a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self::replay(seed, Vec::new())
    }

    /// Decisions as recorded; where the recording ends or a choice has fewer possibilities now, the seed goes on.
    #[must_use]
    pub fn replay(seed: u64, recorded: Vec<Choice>) -> Self {
        let stream = Stream::named(seed, "choices");
        let made = Vec::with_capacity(MADE);
        Self { seed, stream, given: recorded.into_iter(), is_exact: false, made }
    }

    /// Decisions as recorded; after the end of the recording always the first possibility, which is the simplest. So is what
    /// was not asked when it was recorded: a decision that is new in the program shifts none of those that were there.
    #[must_use]
    pub fn exactly(seed: u64, recorded: Vec<Choice>) -> Self {
        Self { is_exact: true, ..Self::replay(seed, recorded) }
    }

    /// The seed that this run was started from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Chooses one of `n` possibilities: a number below `n`, and 0 where `n` is 0 or 1.
    pub fn choose(&mut self, label: &'static str, n: u64) -> u64 {
        if n <= 1 {
            return 0;
        }
        let drawn = self.stream.draw() % n;
        let is_new = self.is_exact
            && self.given.as_slice().first().is_some_and(|given| given.label != label);
        let given = if is_new { None } else { self.given.next() };
        let chosen = match given {
            Some(given) if given.chosen < n => given.chosen,
            _ if self.is_exact => 0,
            _ => drawn,
        };
        self.made.push(Choice { label: Cow::Borrowed(label), of: n, chosen });
        chosen
    }

    /// Whether something happens that happens `percent` times of a hundred.
    pub fn happens(&mut self, label: &'static str, percent: u64) -> bool {
        self.choose(label, 100) < percent
    }

    /// A length of time between two, both included.
    pub fn span(&mut self, label: &'static str, least: Span, most: Span) -> Span {
        let width = most.less(least).ms().saturating_add(1);
        least + Span::from_ms(self.choose(label, width))
    }

    /// What was decided, in order.
    #[must_use]
    pub fn into_made(self) -> Vec<Choice> {
        self.made
    }

    /// What was decided so far, in order.
    #[must_use]
    pub fn made(&self) -> &[Choice] {
        &self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(choices: &mut Choices) -> Vec<u64> {
        (2..40).map(|n| choices.choose("x", n)).collect()
    }

    #[test]
    fn a_seed_gives_the_same_choices_again() {
        let mut first = Choices::from_seed(7);
        let mut second = Choices::from_seed(7);
        assert_eq!(draws(&mut first), draws(&mut second));
        assert_eq!(first.made(), second.made());
        assert_ne!(draws(&mut Choices::from_seed(8)), draws(&mut Choices::from_seed(7)));
    }

    #[test]
    fn a_recording_outlives_its_seed() {
        let mut first = Choices::from_seed(7);
        let drawn = draws(&mut first);
        let mut again = Choices::replay(99, first.made().to_vec());
        assert_eq!(draws(&mut again), drawn);
    }

    #[test]
    fn an_exact_recording_ends_in_first_possibilities() {
        let mut first = Choices::from_seed(7);
        let drawn = draws(&mut first);
        let short: Vec<_> = first.made().iter().take(5).cloned().collect();
        let again = draws(&mut Choices::exactly(7, short));
        assert_eq!(again.get(..5), drawn.get(..5));
        assert!(again.iter().skip(5).all(|chosen| *chosen == 0));
    }

    #[test]
    fn streams_of_one_seed_differ_by_name() {
        let (mut a, mut b) = ([0; 20], [0; 20]);
        Stream::named(1, "lic-a").fill(&mut a);
        Stream::named(1, "lic-b").fill(&mut b);
        assert_ne!(a, b);
        assert_eq!(Choices::from_seed(1).span("s", Span::ZERO, Span::ZERO), Span::ZERO);
    }
}
