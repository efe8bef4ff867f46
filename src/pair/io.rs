//! What goes in and out of the pair: inputs, effects, writes, and what a disk holds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::{Command, Reply};
use super::config::followed;
use super::conflict::HeldBundle;
use super::frame::{Frame, State};
use super::lead::Lead;
use super::tell::Details;
use crate::bundle::Config;
use crate::ledger::{Contents, Position, Record};
use crate::manifest::types::Role;
use crate::measure::{Epoch, Generation, Span, Timestamp};
use crate::name::{BundleHash, PublicKey, ServerName, UseId};
use crate::statement::SignedStatement;

/// Names a command until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The number of a write: writes are made durable in the order of their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// What the pair is told. Each variant is something that has already happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection to the peer is up and the peer has proved its identity. It replaces any connection before.
    Connected,
    /// The connection to the peer is gone.
    Disconnected,
    /// A frame came from the peer.
    Frame(Box<Frame>),
    /// Somebody asks for something.
    Command(Ticket, Box<Command>),
    /// Whoever asked for this has gone: nobody hears the answer.
    HungUp(Ticket),
    /// Every write up to this one is durable.
    Persisted(WriteId),
    /// The peer that connects has proved this identity key, and none was pinned or kept before.
    PeerKey(PublicKey),
    /// The peer is there, and does not accept the identity of this server, which accepts the peer's.
    Refused,
    /// The deadline has come.
    Deadline,
    /// This server is asked to stop.
    Stop,
}

/// What the pair wants done. Each variant is an order, carried out in the order given.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Make this durable, after everything ordered before.
    Persist(WriteId, Vec<Write>),
    /// Send a frame to the peer.
    Send(Box<Frame>),
    /// Close the connection to the peer.
    Disconnect,
    /// Answer a command.
    Reply(Ticket, Box<Reply>),
    /// Tell whoever listens.
    Event(Event),
    /// Drop all memory, open the disk again and start anew: this server does not know what it missed.
    Restart {
        /// Why.
        reason: &'static str,
    },
}

/// One part of a durable change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Facts about the pair: replaces those written before.
    Facts(Facts),
    /// A bundle starts, with what was signed about it. The statement is kept for good, the bundle until the next.
    Commit(Box<Committed>),
    /// The committed bundle takes effect, with its roles: the one before is not needed any longer.
    RolesBegin,
    /// A record of the ledger.
    Record(Position, Record),
    /// The whole ledger is replaced.
    Ledger(Box<Contents>),
    /// Ended uses and nonces that need not be remembered any longer.
    Forget {
        /// The uses.
        uses: Vec<UseId>,
        /// The nonces.
        nonces: Vec<String>,
    },
}

/// The durable facts about the pair, beside ledger and bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The latest epoch that this server made or learned of.
    pub epoch: Epoch,
    /// Whether this server, the one that leads, counts on its peer for every grant.
    pub paired: bool,
    /// Whether this server has served since it was last in step.
    pub served: bool,
    /// Whether this server was ever in step with its peer.
    pub met: bool,
    /// Whether this server knows every lease that it ever gave: its disk is not one that replaces another, or has been
    /// made good since, by its peer or by a grace.
    #[serde(default = "yes")]
    pub complete: bool,
    /// Whether this server, where it leads, has had what its peer knows since its disk was new: it took over the peer's
    /// ledger, or found that there is nothing in it. Until then it sends the peer none of its own.
    #[serde(default = "yes")]
    pub knows_peer: bool,
    /// The latest wall time seen: license dates hold against a clock set back.
    pub wall: Timestamp,
    /// When this server last heard its primary, where it is the secondary, by wall time: a license may say how long it
    /// serves without (rule 3). Durable when it begins to serve, and once a minute before.
    #[serde(default)]
    pub heard: Option<Timestamp>,
    /// The bundle of this server's that last gave way to one of its peer's, until another one is committed.
    #[serde(default)]
    pub held: Option<HeldBundle>,
    /// The identity key that the peer proved last: whom this server expects where the manifest pins none.
    pub peer_key: Option<PublicKey>,
    /// Who leads, where that was ever said: without a word the primary does.
    #[serde(default)]
    pub lead: Option<Lead>,
    /// Whether the epochs that this server makes are the odd ones.
    #[serde(default)]
    pub odd: Option<bool>,
    /// The server whose disk this is.
    #[serde(default)]
    pub name: Option<ServerName>,
}

/// What a server that did not write it down knows: its disk was never replaced by one that says no.
const fn yes() -> bool {
    true
}

/// A bundle that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The bundle's number.
    pub generation: Generation,
    /// The bundle, compiled by whoever staged or loaded it.
    pub config: Arc<Config>,
    /// The bundle that is in effect until both servers run this one, where this one changes their roles.
    pub before: Option<Arc<Config>>,
    /// What operators signed, oldest first; the last is about this bundle. Written: those that are new. Loaded: every
    /// one that ever was.
    pub statements: Vec<SignedStatement>,
    /// When it was committed here, by wall time.
    pub at: Timestamp,
    /// The longest ttl of any bundle whose leases may still live.
    pub ttl_longest: Span,
}

/// What a disk holds of a pair: the shell loads it and begins with it.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    /// The facts.
    pub facts: Facts,
    /// The bundle that runs, with every statement that ever was, oldest first.
    pub committed: Option<Committed>,
    /// The ledger.
    pub ledger: Contents,
}

/// Something that happened, for whoever listens: `/v1/events`, the event log, the oracles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind of thing, for example `state` or `granted`.
    pub kind: &'static str,
    /// Its particulars.
    pub details: Details,
}

/// What a server is now, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is configured to be.
    pub role: Option<Role>,
    /// What it does.
    pub state: State,
}

impl Committed {
    /// The bundle's hash.
    #[must_use]
    pub fn hash(&self) -> BundleHash {
        self.config.bundle.hash()
    }
}

impl Durable {
    /// What a disk holds after a write: the model that every store keeps to.
    pub fn apply(&mut self, write: &Write) {
        match write {
            Write::Facts(facts) => self.facts = facts.clone(),
            Write::Commit(committed) => {
                let mut committed = (**committed).clone();
                let before = self.committed.take().map(|before| before.statements);
                committed.statements = followed(before.unwrap_or_default(), committed.statements);
                self.committed = Some(committed);
            }
            Write::RolesBegin => {
                if let Some(committed) = &mut self.committed {
                    committed.before = None;
                }
            }
            Write::Record(position, record) => self.ledger.apply(*position, record),
            Write::Ledger(contents) => self.ledger = (**contents).clone(),
            Write::Forget { uses, nonces } => {
                self.ledger.ends.retain(|end| !uses.contains(&end.use_id));
                self.ledger.nonces.retain(|(nonce, _)| !nonces.contains(nonce));
            }
        }
    }
}
