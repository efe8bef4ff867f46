//! Frames: what the two servers say to each other once each has proved who it is.
//!
//! A frame is JSON on the wire, framed by its length (docs/reference/peer.md); TCP keeps them in order, so both
//! sides count them and a heartbeat acknowledges by count. Unknown fields are ignored, so that a newer peer can say
//! more; the version is agreed on in the handshake.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lead::Lead;
use crate::ledger::{Contents, Position, Record};
use crate::manifest::types::Role;
use crate::measure::{Epoch, Generation, Timestamp};
use crate::name::{BundleHash, LeaseId};
use crate::statement::SignedStatement;

/// What a server does now.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has no bundle.
    Unconfigured,
    /// It starts, or hands over: it answers nobody.
    Recovering,
    /// It serves.
    Active,
    /// It stays silent, ready to take over.
    Standby,
}

impl State {
    /// The word for it in status, events and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unconfigured => "unconfigured",
            Self::Recovering => "recovering",
            Self::Active => "active",
            Self::Standby => "standby",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// One message from one server to the other. Each variant says what the sender is, has or wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frame {
    /// Who speaks and what it knows. First on a connection, and again whenever its bundle or its state changed.
    Hello(Box<Hello>),
    /// Still there.
    Heartbeat(Heartbeat),
    /// Records of the active server, each the successor of the one before, the first numbered `first`.
    Records {
        /// The position of the first of them.
        first: Position,
        /// The records.
        records: Vec<Record>,
    },
    /// Everything up to this position is durable at the sender.
    Durable {
        /// The position.
        position: Position,
    },
    /// The server that leads asks the other one to stop serving and to give its whole ledger.
    HandOver,
    /// The other server's whole ledger, given on a [`Frame::HandOver`]: it has stopped serving.
    HandedOver {
        /// A part of the ledger.
        contents: Box<Contents>,
        /// Whether more parts follow.
        more: bool,
    },
    /// The active server's whole ledger: replaces the receiver's.
    CatchUp {
        /// A part of the ledger.
        contents: Box<Contents>,
        /// Whether more parts follow.
        more: bool,
    },
    /// The ledger of a [`Frame::CatchUp`] is durable at the sender.
    CaughtUp {
        /// The position of that ledger.
        position: Position,
    },
    /// A bundle that the receiver does not run yet, with every statement after the receiver's generation.
    Bundle {
        /// The statements, oldest first; the last one is about the bundle.
        chain: Vec<SignedStatement>,
        /// The bundle's canonical bytes, in base64.
        bundle: String,
        /// Whether the sender has refused the receiver's bundle, as signed by a stranger.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        insists: bool,
    },
    /// The sender stops now, on purpose: it has stopped serving.
    Goodbye,
}

/// Who speaks and what it knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What it is configured to be; absent while it has no bundle.
    pub role: Option<Role>,
    /// What it does now.
    pub state: State,
    /// The number of its bundle.
    pub generation: Generation,
    /// The hash of its bundle.
    pub bundle: Option<BundleHash>,
    /// Its epoch: the latest it made or learned of.
    pub epoch: Epoch,
    /// The last record of its ledger.
    pub position: Position,
    /// Whether it has served since it was last in step: then its ledger is merged, never overwritten.
    pub served: bool,
    /// Whether it was ever in step with its peer: one that was not, where the other was, has lost its disk.
    pub met: bool,
    /// Whether it knows every lease that it ever gave itself; absent from a peer that does not know of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// Whether it is certain to know every lease that either server gave.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Names all that was signed up to its bundle: a peer that signed something else meanwhile offers its whole chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<BundleHash>,
    /// Who leads; absent from a peer that knows of no handover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead: Option<Lead>,
    /// Whether the roles of its bundle are not in effect at the sender, or not durably.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// Whether the epochs that it makes are the odd ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odd: Option<bool>,
    /// Its wall clock: peers more than 60 s apart say so.
    pub wall: Timestamp,
}

/// Still there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// What the sender does now.
    pub state: State,
    /// Whether the sender, the active one, grants nothing that the receiver does not have.
    pub paired: bool,
    /// Whether the sender, the active one, is in grace: it may not know every lease.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub grace: bool,
    /// How many frames the sender has received on this connection.
    pub received: u64,
    /// The number of the sender's bundle.
    pub generation: Generation,
    /// The leases that were renewed since the last heartbeat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renewed: Vec<LeaseId>,
}
