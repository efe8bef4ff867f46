//! What tests and benchmarks of the store write.

use tandem::ledger::{Lease, Position, Slots, Use};
use tandem::measure::{Epoch, Seats, Span, Timestamp};

/// The lease of this number.
#[expect(clippy::expect_used, reason = "a test says what it expects")]
pub(crate) fn lease(number: u64) -> Lease {
    let one = Use {
        seats: Seats(1),
        user: "ana".parse().expect("a name"),
        host: "ws-1".parse().expect("a name"),
        borrowed: None,
    };
    Lease {
        id: format!("lease-{number}").parse().expect("an id"),
        product: "designer".parse().expect("a name"),
        user: "ana".parse().expect("a name"),
        host: "ws-1".parse().expect("a name"),
        address: "127.0.0.1".parse().expect("an address"),
        uses: [(format!("use-{number}").parse().expect("a use"), one)].into(),
        assignment: 0,
        server: "lic-a".parse().expect("a name"),
        granted_at: Timestamp::from_ms(1),
        granted: Position { epoch: Epoch(1), seq: number },
        heard: Epoch(1),
        ttl: Span::from_secs(300),
        forced: None,
        slots: Slots::default(),
        parked: false,
    }
}
