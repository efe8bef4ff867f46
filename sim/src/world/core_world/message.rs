//! What clients and the reconciler say to servers, and what these answer: requests and answers of the HTTP API without
//! their bytes. Tokens are values with their issuer instead of signed texts.

use tandem::api::Problem;
use tandem::failover::{self, Timing};
use tandem::measure::{Generation, Span, Timestamp};
use tandem::name::{BundleHash, QueueTicket, UseId};
use tandem::pair::{Held, Queued, Token};
use tandem::statement::SignedStatement;

use super::Node;
use crate::scenario::Forgery;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    Person(usize),
    Reconciler,
    /// Somebody who stands beside the machine.
    Operator,
}

/// A request on its way.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) number: u64,
    pub(super) from: Party,
    pub(super) want: Want,
}

/// What a server is asked for.
#[derive(Clone, Debug)]
pub(super) enum Want {
    Checkout {
        person: usize,
        use_id: UseId,
        wait: Option<Span>,
        borrow: Option<Span>,
        ticket: Option<QueueTicket>,
    },
    Renew(Box<Proof>),
    Release(Box<Proof>),
    Timing,
    Status,
    Stage {
        bundle: usize,
        statement: SignedStatement,
        generation: Generation,
        base: Generation,
    },
    Offer(Forgery),
    Commit {
        generation: Generation,
        bundle: BundleHash,
    },
}

/// A token: what it says, and who signed it.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) issuer: Node,
    pub(super) token: Token,
}

/// An answer on its way.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) number: u64,
    pub(super) from: Node,
    pub(super) to: Party,
    pub(super) said: Said,
}

/// What a server answers.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Lease(Box<Given>),
    Queued(Box<Queued>),
    Released,
    Staged,
    Committed,
    Timing(Timing),
    Status {
        generation: Generation,
        bundle: Option<BundleHash>,
    },
    Problem(Box<Problem>),
    /// No answer: the connection was refused or broke.
    Gone,
}

/// A lease as it was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) server: Node,
    /// When its token was made, by the server's wall clock.
    pub(super) wall: Timestamp,
    pub(super) licenses: Vec<String>,
    pub(super) held: Held,
}

impl Given {
    /// The token that comes with it.
    pub(super) fn proof(&self) -> Proof {
        let Held { lease, use_id, .. } = &self.held;
        let one = lease.uses.get(use_id);
        let token = Token {
            lease: lease.id.clone(),
            use_id: use_id.clone(),
            product: lease.product.clone(),
            user: one.map_or(&lease.user, |one| &one.user).clone(),
            host: one.map_or(&lease.host, |one| &one.host).clone(),
            seats: one.map_or(lease.seats(), |one| one.seats),
            issued: Timestamp::from_ms(self.wall.secs().saturating_mul(1_000)),
            address: lease.address,
        };
        Proof { issuer: self.server, token }
    }
}

impl Said {
    /// What tells it from others in a trace.
    pub(super) fn word(&self) -> u64 {
        match self {
            Self::Lease(given) => 0x100 | given.held.epoch.0 << 16,
            Self::Queued(queued) => 9 | u64::from(queued.position) << 16,
            Self::Released => 2,
            Self::Staged => 3,
            Self::Committed => 4,
            Self::Timing(_) => 5,
            Self::Status { generation, .. } => 6 | generation.0 << 16,
            Self::Problem(problem) => 7 | (problem.code as u64) << 16,
            Self::Gone => 8,
        }
    }

    /// The HTTP status of the answer.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Lease(given) if given.held.is_new => 201,
            Self::Queued(_) => 202,
            Self::Released => 204,
            Self::Problem(problem) => problem.status,
            _ => 200,
        }
    }

    /// What it means for a client; `other` is the place of the server that did not answer in the client's list.
    pub(super) fn meaning(&self, other: usize) -> failover::Answer {
        match self {
            Self::Lease(given) => failover::Answer::Lease { ttl: given.held.ttl },
            Self::Queued(queued) => failover::Answer::Queued { retry_after: queued.retry_after },
            Self::Problem(problem) => {
                let named = (problem.code == tandem::api::ProblemCode::Standby).then_some(other);
                failover::Answer::of_problem(problem.status, problem.code, named)
            }
            _ => failover::Answer::Released,
        }
    }
}
