//! What a server says of itself and its peer: the facts behind `GET /v1/status`.

use super::conflict::HeldBundle;
use super::io::Committed;
use super::phase::Phase;
use super::{Pair, State, terms};
use crate::entitlement::Use as Usage;
use crate::manifest::types::Role;
use crate::measure::{Epoch, Generation, Seats, Span, Timestamp};
use crate::name::{BundleHash, ProductName, ServerName};

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairStatus {
    /// Its name.
    pub name: ServerName,
    /// What it is configured to be.
    pub role: Option<Role>,
    /// The role that takes effect once both servers run the bundle that is committed here, where that is another.
    pub next_role: Option<Role>,
    /// What it does.
    pub state: State,
    /// The latest epoch it made or learned of.
    pub epoch: Epoch,
    /// The number of the bundle that runs.
    pub generation: Generation,
    /// The hash of the bundle that runs.
    pub bundle: Option<BundleHash>,
    /// When that was committed here.
    pub committed_at: Option<Timestamp>,
    /// How long it still grants nothing new, where it may not know every lease.
    pub grace_ends_in: Option<Span>,
    /// Which server leads: serves when both are well.
    pub leader: Option<ServerName>,
    /// Since when, where that was ever said.
    pub leader_since: Option<Timestamp>,
    /// Its peer.
    pub peer: Option<PeerStatus>,
    /// The bundle of its own that gave way to its peer's, until another is committed.
    pub held: Option<HeldBundle>,
    /// What it serves.
    pub products: Vec<ProductStatus>,
}

/// What a server knows of its peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its name.
    pub name: ServerName,
    /// Whether there is a connection to it.
    pub reachable: bool,
    /// Whether the two count on each other.
    pub paired: bool,
    /// How long ago it was last heard on this connection.
    pub last_heard: Option<Span>,
}

/// A product as a server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductStatus {
    /// The product.
    pub product: ProductName,
    /// The seats that this server's valid licenses offer.
    pub capacity: Seats,
    /// The seats that are held.
    pub used: Seats,
    /// The seats that are kept free for assignments that do not use them yet.
    pub reserved: Seats,
    /// Those of them that are borrowed.
    pub borrowed: Seats,
    /// How many wait for a seat.
    pub waiting: usize,
    /// The seats held above the capacity.
    pub over_grant: Seats,
    /// Escrow: the slots that this server may use while it cannot count on the other.
    pub quota: Option<Seats>,
    /// Escrow: the seats of leases that ran out here and keep their slots, since they may live at the other server.
    pub parked: Option<Seats>,
    /// How long this server, a secondary that serves, may go on without hearing its primary, where that is limited.
    pub standalone_ends_in: Option<Span>,
}

impl Pair {
    /// What this server says of itself and its peer at this time.
    #[must_use]
    pub fn status(&self, now: crate::measure::Now) -> PairStatus {
        let committed = self.committed.as_ref();
        PairStatus {
            name: self.me.clone(),
            role: self.role(),
            next_role: self.next_role(),
            state: self.state(),
            epoch: self.facts.epoch,
            generation: self.generation(),
            bundle: committed.map(|committed: &Committed| committed.hash()),
            committed_at: committed.map(|committed| committed.at),
            grace_ends_in: match &self.phase {
                Phase::Active(active) => active.grace.map(|until| until.since(now.moment)),
                _ => None,
            },
            leader: self.leader().cloned(),
            leader_since: self.facts.lead.as_ref().map(|lead| lead.since),
            peer: self.peer().map(|peer| PeerStatus {
                name: peer.name.clone(),
                reachable: self.link.as_ref().is_some_and(|link| link.hello.is_some()),
                paired: self.is_paired(),
                last_heard: self.link.as_ref().map(|link| now.moment.since(link.heard)),
            }),
            held: self.facts.held.clone(),
            products: self.products(),
        }
    }

    fn products(&self) -> Vec<ProductStatus> {
        let Some(config) = self.config.as_deref() else { return Vec::new() };
        let Some(terms) = terms(config, &self.me, &self.facts, self.now) else { return Vec::new() };
        let serves = matches!(self.phase, Phase::Active(_));
        let status = |(name, product): (&ProductName, &crate::bundle::Product)| {
            let nothing = Usage::default();
            let usage = self.ledger.usage(name).unwrap_or(&nothing);
            let limits = product.policy.assignments().iter().enumerate();
            let reserved = limits.map(|(i, limits)| limits.reserve.less(usage.of(i))).sum();
            ProductStatus {
                product: name.clone(),
                capacity: terms.capacity(name),
                used: self.ledger.live(name),
                reserved,
                borrowed: self.ledger.borrowed(name),
                waiting: self.ledger.waiting(name),
                over_grant: self.ledger.over_grant(name, &terms),
                quota: terms.is_escrow().then(|| self.ledger.quota(name, &terms)),
                parked: terms.is_escrow().then(|| self.ledger.parked(name)),
                standalone_ends_in: serves.then(|| terms.standalone_left(name)).flatten(),
            }
        };
        config.products.iter().map(status).collect()
    }
}
