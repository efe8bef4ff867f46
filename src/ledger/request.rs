//! What clients ask of the ledger, and why it says no.

use std::net::IpAddr;

use crate::measure::{Seats, Span, Timestamp};
use crate::name::{HostName, LeaseId, ProductName, UseId, UserName};

/// A request for seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The product.
    pub product: ProductName,
    /// Who asks.
    pub user: UserName,
    /// On which computer.
    pub host: HostName,
    /// From which address, as the server sees it.
    pub address: IpAddr,
    /// The client's id of this use.
    pub use_id: UseId,
    /// How many seats.
    pub seats: Seats,
    /// For how long the seats are to be borrowed, where they are.
    pub borrow: Option<Span>,
    /// The id that a new lease gets: fresh randomness from the shell.
    pub fresh: LeaseId,
}

/// What a verified lease token says (formats.md, "Lease token").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The lease.
    pub lease: LeaseId,
    /// The use it was given for.
    pub use_id: UseId,
    /// The product.
    pub product: ProductName,
    /// Who holds the lease.
    pub user: UserName,
    /// On which computer.
    pub host: HostName,
    /// The seats of the use.
    pub seats: Seats,
    /// When the token was made, by wall time.
    pub issued: Timestamp,
    /// The address that presents it now.
    pub address: IpAddr,
}

/// Why the ledger gives no seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum No {
    /// No license offers the product.
    UnknownProduct,
    /// The lease is not known and cannot be adopted, or this use of it has ended.
    UnknownLease,
    /// The use is known for another product, user or host.
    UseTaken,
    /// A `deny` entry matches.
    Denied,
    /// No assignment matches.
    NotEntitled,
    /// The manifest or the license lends no seats to this user, or not so long, or no more.
    BorrowNotAllowed {
        /// Why, as one sentence.
        why: String,
    },
    /// As many wait for the product as a queue takes.
    TooManyWaiting,
    /// No seat is free; `why` says what stops each assignment that matches.
    NoRoom {
        /// The reasons, as one sentence.
        why: String,
    },
    /// The lease was ended by a bundle or an operator.
    Revoked {
        /// Why.
        reason: String,
    },
}
