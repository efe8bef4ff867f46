//! Writes down what happens in a run of the core world: the history for the oracles, and everything else as one hash.
//!
//! The hash is a fast mix of 128 bits and no cryptography: it tells runs apart that were meant to be the same.

use std::sync::Arc;

use crate::history::{Ask, Entry, Event};
use crate::world::core_world::queue::{MS, Micros};

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) entries: Vec<Entry>,
    pub(super) now: Micros,
    requests: u64,
    mix: Mix,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { entries: Vec::with_capacity(2_048), ..Self::default() }
    }

    /// Notes an event of the history.
    pub(super) fn note(&mut self, host: impl Into<Arc<str>>, event: Event) {
        self.mix.word(self.entries.len() as u64);
        self.entries.push(Entry { at: self.now / MS, host: host.into(), event });
    }

    /// Notes a request and gives it its number.
    pub(super) fn asked(&mut self, host: impl Into<Arc<str>>, to: &str, ask: Ask) -> u64 {
        self.requests += 1;
        let request = self.requests;
        self.note(host, Event::Asked { request, to: to.into(), ask: Box::new(ask) });
        request
    }

    /// Takes something that happened into the hash: its kind, and what tells it from others of its kind.
    pub(super) fn trace(&mut self, kind: u8, one: u64, other: u64) {
        self.mix.word(self.now);
        self.mix.word(one ^ (u64::from(kind) << 56));
        self.mix.word(other);
    }

    /// Takes a text into the hash.
    pub(super) fn trace_text(&mut self, text: &str) {
        self.mix.bytes(text.as_bytes());
    }

    /// The hash so far, as text.
    pub(super) fn hash(&self) -> String {
        format!("mix128:{:016x}{:016x}", self.mix.0, self.mix.1)
    }
}

/// Two lanes of multiplication and rotation.
#[derive(Clone, Copy, Debug)]
struct Mix(u64, u64);

impl Default for Mix {
    fn default() -> Self {
        Self(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344)
    }
}

impl Mix {
    fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29);
        self.1 = (self.1.rotate_left(23) ^ word)
            .wrapping_add(self.0)
            .wrapping_mul(0xd6e8_feb8_6659_fd93);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.word(u64::from_le_bytes(word));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_and_the_order_count() {
        let hash = |events: &[(u8, u64, u64)]| {
            let mut log = Log::new();
            events.iter().for_each(|(kind, one, other)| log.trace(*kind, *one, *other));
            log.hash()
        };
        let first = hash(&[(1, 2, 3), (4, 5, 6)]);
        assert_eq!(first, hash(&[(1, 2, 3), (4, 5, 6)]));
        for other in
            [hash(&[(4, 5, 6), (1, 2, 3)]), hash(&[(1, 2, 3), (4, 5, 7)]), hash(&[(1, 2, 3)])]
        {
            assert_ne!(first, other);
        }
    }
}
