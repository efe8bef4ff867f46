//! When a server connects to its peer, and which connection counts as new (docs/reference/peer.md).

use crate::bundle::Config;
use crate::manifest::types::Role;
use crate::measure::Span;

/// How long connecting and the handshake may take together.
pub const SHAKEN_WITHIN: Span = Span::from_secs(3);
/// How long a connection counts as opened at the same time as another.
pub const YOUNG: Span = Span::from_secs(2);
/// How long to wait before connecting again, at first.
const RETRY_FIRST: Span = Span::from_ms(100);
/// How much later the secondary tries, so that the two seldom connect at once.
const SECONDARY_LATER: Span = Span::from_ms(50);

/// The times of a server's attempts to connect, by what it knows as one begins or ends.
#[derive(Clone, Copy, Debug)]
pub struct Dialing {
    role: Option<Role>,
    heartbeat: Option<Span>,
}

impl Dialing {
    /// Those of a server in a role, under a bundle.
    #[must_use]
    pub fn of(role: Option<Role>, config: Option<&Config>) -> Self {
        Self { role, heartbeat: config.map(|config| config.redundancy.heartbeat) }
    }

    /// How long a connection may take to open, before the handshake.
    ///
    /// An attempt that began during a cut succeeds only late, if at all. The primary gives it up after a heartbeat and a
    /// little, so that the two meet within two heartbeats after a cut; the secondary does not, so that they meet over a
    /// slow line too.
    #[must_use]
    pub fn opened_within(self) -> Span {
        match (self.role, self.heartbeat) {
            (Some(Role::Primary), Some(heartbeat)) => (heartbeat + RETRY_FIRST).min(SHAKEN_WITHIN),
            _ => SHAKEN_WITHIN,
        }
    }

    /// How long after the beginning of an attempt the next one begins, after so many: longer each time, up to one
    /// heartbeat.
    #[must_use]
    pub fn apart(self, tries: u64) -> Span {
        let longest = self.heartbeat.unwrap_or(RETRY_FIRST).max(RETRY_FIRST);
        RETRY_FIRST.times(tries.clamp(1, 100)).min(longest) + self.later()
    }

    /// How long after the end of an attempt the next one begins, at the earliest.
    #[must_use]
    pub fn rest(self) -> Span {
        RETRY_FIRST + self.later()
    }

    fn later(self) -> Span {
        if self.role == Some(Role::Secondary) { SECONDARY_LATER } else { Span::ZERO }
    }
}
