//! Commands of clients and operators, and what the pair answers.

use std::sync::Arc;

use crate::bundle::Config;
use crate::ledger::{Checkout, Lease, Token};
use crate::measure::{Epoch, Generation, Seats, Span, Timestamp};
use crate::name::{
    BundleHash, HostName, LeaseId, ProductName, QueueTicket, ServerName, UseId, UserName,
};
use crate::statement::SignedStatement;

/// What somebody asks of the pair. The shell has already proved signatures and tokens.
#[derive(Clone, Debug)]
pub enum Command {
    /// A client wants seats.
    Checkout(Checkout),
    /// A client wants seats, and waits for them where none is free.
    Wait(Box<Wait>),
    /// A holder presents its token to keep its lease.
    Renew(Token),
    /// A holder ends its use of a lease.
    Release(Token),
    /// An operator starts a bundle that was staged and verified.
    Commit(Box<Commit>),
    /// An operator ends a lease.
    ForceRelease {
        /// Which lease.
        lease: LeaseId,
        /// Why, for its holder and the history.
        reason: String,
        /// The statement's nonce.
        nonce: Nonce,
    },
    /// An operator declares a server dead: what waits for it goes on.
    Fence {
        /// The dead server.
        server: ServerName,
        /// The statement's nonce.
        nonce: Nonce,
    },
    /// An operator moves service to the other server.
    Handover {
        /// The server that is to serve.
        server: ServerName,
        /// The statement's nonce.
        nonce: Nonce,
    },
}

/// A checkout that waits for its seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What is wanted.
    pub request: Checkout,
    /// The ticket of the place that the client has, where it has one.
    pub ticket: Option<QueueTicket>,
    /// The ticket of a new place: fresh randomness from the shell.
    pub fresh: QueueTicket,
    /// How long the client waits for this answer, at most.
    pub hold: Span,
}

/// A nonce of an operator's statement: taken once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// The nonce.
    pub nonce: String,
    /// When the statement expires.
    pub expires: Timestamp,
}

/// A bundle to start: verified, compiled and signed by a trusted operator.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The compiled bundle.
    pub config: Arc<Config>,
    /// What operators signed since the bundle that runs, oldest first; the last is about this bundle.
    pub statements: Vec<SignedStatement>,
    /// The bundle's number.
    pub generation: Generation,
    /// The generation that this server must run for the commit to be taken.
    pub base: Generation,
}

/// What the pair answers to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A lease was granted, joined, renewed or returned.
    Lease(Box<Held>),
    /// No seat is free yet: the client has a place in the queue.
    Queued(Box<Queued>),
    /// A use or a lease has ended.
    Released,
    /// The bundle runs.
    Committed {
        /// Its number.
        generation: Generation,
        /// Its hash.
        bundle: BundleHash,
    },
    /// The operator's command was carried out.
    Done,
    /// The command was refused.
    Refused(Refusal),
}

/// A lease as its holder sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The lease.
    pub lease: Lease,
    /// The use that asked.
    pub use_id: UseId,
    /// Whether the lease began with this request.
    pub is_new: bool,
    /// The epoch of the server that answers.
    pub epoch: Epoch,
    /// How long the holder may believe in it, from its own sending of the request.
    pub ttl: Span,
    /// When that is over, by the wall clock of the server that answers.
    pub expires_at: Timestamp,
    /// Until when this use is borrowed, where it is.
    pub borrowed_until: Option<Timestamp>,
}

/// A place in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// What is waited for.
    pub product: ProductName,
    /// What keeps the place: shown with the next request.
    pub ticket: QueueTicket,
    /// The place, from 1.
    pub position: u32,
    /// After how long to ask again.
    pub retry_after: Span,
}

/// Why a command was refused. Each is a problem code of formats.md.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server has no bundle.
    Unconfigured,
    /// The server starts or hands over.
    Recovering,
    /// The server stays silent: ask the primary.
    Standby,
    /// The server may not know every lease yet, or waits for its peer: ask again.
    Grace {
        /// After how long.
        retry_after: Span,
    },
    /// No license offers the product.
    UnknownProduct,
    /// The lease is not known, or this use of it has ended.
    UnknownLease,
    /// The use is known for another product, user or host.
    UseTaken,
    /// A `deny` entry matches.
    Denied,
    /// No assignment matches.
    NotEntitled,
    /// The manifest or the license does not lend this.
    BorrowNotAllowed {
        /// Why.
        why: String,
    },
    /// Seats are lent, and the mode is changed, only while both servers keep every grant: ask again.
    NotPaired {
        /// After how long.
        retry_after: Span,
    },
    /// As many wait as a queue takes.
    TooManyWaiting,
    /// No seat is free.
    NoSeatFree {
        /// Why: which assignments matched and what stops each.
        why: String,
        /// The live leases of the product.
        holders: Vec<(UserName, HostName, Seats)>,
        /// When the first of them could run out.
        retry_after: Span,
    },
    /// The lease was ended by a bundle or an operator.
    Revoked {
        /// Why.
        reason: String,
    },
    /// Another bundle was committed in between.
    GenerationConflict,
    /// The nonce was taken before.
    NonceTaken,
    /// The server cannot be fenced.
    FenceRefused {
        /// Why.
        reason: String,
    },
    /// Service cannot be moved now, or did not move.
    HandoverRefused {
        /// Why, and what to do.
        reason: String,
    },
}

impl Refusal {
    /// The problem code of formats.md.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unconfigured => "unconfigured",
            Self::Recovering => "recovering",
            Self::Standby => "standby",
            Self::Grace { .. } => "grace",
            Self::UnknownProduct => "unknown-product",
            Self::UnknownLease => "unknown-lease",
            Self::UseTaken | Self::NonceTaken => "invalid-request",
            Self::FenceRefused { .. } | Self::HandoverRefused { .. } => "refused",
            Self::Denied => "denied",
            Self::NotEntitled => "not-entitled",
            Self::BorrowNotAllowed { .. } => "borrow-not-allowed",
            Self::NotPaired { .. } => "grace",
            Self::TooManyWaiting => "too-many-waiting",
            Self::NoSeatFree { .. } => "no-seat-free",
            Self::Revoked { .. } => "revoked",
            Self::GenerationConflict => "generation-conflict",
        }
    }
}
