//! The ledger: who holds which seats, as a state machine. It knows leases and time, nothing of the pair.

mod lease;

pub use lease::{Contents, End, EndReason, Lease, Position, Record, Use};
