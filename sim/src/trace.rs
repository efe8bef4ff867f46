//! The trace of a run: everything that happened, in order, as one hash. Two runs are the same run when it is equal.
//!
//! It is over events by (time, sequence, host), never over text that a log prints.

use sha2::{Digest as _, Sha256};

/// Hashes events as they come.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hasher: Sha256,
    sequence: u64,
}

impl Trace {
    /// Takes one event in: when (milliseconds since the run began), at which host, of what kind, with what content.
    pub fn event(&mut self, at_ms: u64, host: &str, kind: &str, content: &[u8]) {
        self.hasher.update(at_ms.to_le_bytes());
        self.hasher.update(self.sequence.to_le_bytes());
        for part in [host.as_bytes(), kind.as_bytes(), content] {
            self.hasher.update((part.len() as u64).to_le_bytes());
            self.hasher.update(part);
        }
        self.sequence += 1;
    }

    /// How many events there were.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.sequence
    }

    /// The hash so far, `sha256:` and hex.
    #[must_use]
    pub fn hash(&self) -> String {
        text(self.hasher.clone().finalize().into())
    }
}

/// The hash of several runs' hashes, in the order given.
#[must_use]
pub fn combined<'a>(hashes: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for hash in hashes {
        hasher.update(hash.as_bytes());
        hasher.update(b"\n");
    }
    text(hasher.finalize().into())
}

/// The SHA-256 of some bytes, as text.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    text(Sha256::digest(bytes).into())
}

fn text(hash: [u8; 32]) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::from("sha256:"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(events: &[(u64, &str, &str)]) -> String {
        let mut trace = Trace::default();
        for (at, host, content) in events {
            trace.event(*at, host, "x", content.as_bytes());
        }
        trace.hash()
    }

    #[test]
    fn time_order_host_and_content_all_count() {
        let first = trace(&[(1, "a", "x"), (1, "b", "y")]);
        assert_eq!(first, trace(&[(1, "a", "x"), (1, "b", "y")]));
        for other in [
            trace(&[(1, "b", "y"), (1, "a", "x")]),
            trace(&[(2, "a", "x"), (1, "b", "y")]),
            trace(&[(1, "a", "xb"), (1, "", "y")]),
            trace(&[(1, "a", "x")]),
        ] {
            assert_ne!(first, other);
        }
    }
}
