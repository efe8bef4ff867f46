//! A lease and the records that change it: what is durable, and what travels between the servers.
//!
//! A record carries the whole new state of what it changes, so that applying it twice changes nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::quota::{Quotas, Slots};
use crate::measure::{Epoch, Moment, Seats, Span, Timestamp};
use crate::name::{HostName, LeaseId, ProductName, QueueTicket, ServerName, UseId, UserName};

/// A place in the order of all records of a pair: the epoch they were made in, then their number in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The epoch of the server that made the record.
    pub epoch: Epoch,
    /// The record's number in that epoch, from 1.
    pub seq: u64,
}

impl Position {
    /// The latest epoch of the other server that a ledger at this position covers once it goes on in `next`: where
    /// that is an epoch of the other kind, everything so far was the other server's service.
    #[must_use]
    pub fn knew_in(self, next: Epoch, knew: Epoch) -> Epoch {
        if self.epoch.is_of_same_server(next) { knew } else { knew.max(self.epoch) }
    }
}

/// Seats of a product held by a holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// The lease's id.
    pub id: LeaseId,
    /// The product whose seats are held.
    pub product: ProductName,
    /// Who holds them.
    pub user: UserName,
    /// On which computer.
    pub host: HostName,
    /// From which address, as the server saw it.
    pub address: IpAddr,
    /// The live uses: none is a lease that has ended.
    pub uses: BTreeMap<UseId, Use>,
    /// The place in `assign` of the assignment that is charged, from 0.
    pub assignment: u32,
    /// The server that granted it.
    pub server: ServerName,
    /// When it was granted, by the wall clock of that server.
    pub granted_at: Timestamp,
    /// Where the grant stands in the order of all grants.
    pub granted: Position,
    /// The epoch in which its holder was last heard, by a record or a renewal.
    pub heard: Epoch,
    /// How long it lives without renewal: what was last given.
    pub ttl: Span,
    /// Why it may not be renewed, where an operator released it: it counts until its time has run out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<String>,
    /// Escrow: how many slots of which server's quota it takes, as far as this ledger knows.
    #[serde(default, skip_serializing_if = "Slots::is_empty")]
    pub slots: Slots,
    /// Escrow: its time ran out here, and it keeps its slots, since its holder may have renewed it at the other server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parked: bool,
}

impl End {
    /// Whether this end holds against a copy of the lease in the other server's ledger.
    ///
    /// What a holder ended stays ended. A lease that only ran out here, or was never acknowledged here, lives on where its
    /// holder was heard in a time of service that this server did not know of: the two were split, and it had moved.
    #[must_use]
    pub fn holds_against(&self, lease: &Lease) -> bool {
        match self.reason {
            // The same use may have got another lease elsewhere, of which this end says nothing.
            _ if self.lease != lease.id => false,
            EndReason::Released => true,
            EndReason::Expired | EndReason::Revoked | EndReason::Cancelled => {
                let same_server = lease.heard.is_of_same_server(self.epoch);
                lease.heard <= if same_server { self.epoch } else { self.knew }
            }
        }
    }
}

impl Lease {
    /// Until when it is borrowed, by the use that is lent longest.
    #[must_use]
    pub fn borrowed_until(&self) -> Option<Timestamp> {
        self.uses.values().filter_map(|one| one.borrowed).map(|borrowed| borrowed.until).max()
    }

    /// The seats that are held: the greatest of the live uses.
    #[must_use]
    pub fn seats(&self) -> Seats {
        self.uses.values().map(|one| one.seats).max().unwrap_or_default()
    }
}

/// One use of a lease: one checkout by one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// The seats that this use needs.
    pub seats: Seats,
    /// Who checked out.
    pub user: UserName,
    /// On which computer.
    pub host: HostName,
    /// Until when it is borrowed, where it is: it needs no renewal until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub borrowed: Option<Borrowed>,
}

/// How long a use is borrowed. Machines believe their own clocks: what is left travels, and is counted from its arrival;
/// only a disk that was read again after an unknown time is held against the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Borrowed {
    /// Its end, by the wall clock of the server that lent it.
    pub until: Timestamp,
    /// How long it was lent for.
    pub span: Span,
    /// How much of that was left when this was written or sent.
    pub left: Span,
    /// How long it was over by then: a server keeps it a little longer than it says, once and not after every restart.
    #[serde(default, skip_serializing_if = "Span::is_zero")]
    pub over: Span,
}

impl Borrowed {
    /// What a server keeps it longer than it says: its clock may be fast, and the holder's slow.
    #[must_use]
    pub const fn slack(&self) -> Span {
        self.span.with_drift().less(self.span)
    }

    /// When it ends on a server that learns of it now.
    #[must_use]
    pub fn ends(&self, now: Moment) -> Moment {
        now + self.left + self.slack().less(self.over)
    }

    /// The same as it is at a time before which it was to end here then.
    #[must_use]
    pub fn at(self, now: Moment, end: Moment) -> Self {
        let kept = end.since(now);
        Self { left: kept.less(self.slack()), over: self.slack().less(kept), ..self }
    }

    /// The same by the wall clock.
    #[must_use]
    pub fn aged(self, wall: Timestamp) -> Self {
        let left = self.left.min(self.until.since(wall));
        Self { left, over: self.over.max(wall.since(self.until)).min(self.slack()), ..self }
    }
}

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// Its holder released it.
    Released,
    /// Its time ran out.
    Expired,
    /// No assignment matched it any more, or an operator released it, and its time ran out.
    Revoked,
    /// It was granted but never acknowledged, and given up when the ledgers were merged.
    Cancelled,
}

/// A use that has ended, remembered so that a late renewal or a repeated checkout cannot revive it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The lease it was a use of.
    pub lease: LeaseId,
    /// The use.
    #[serde(rename = "use")]
    pub use_id: UseId,
    /// Why it ended.
    pub reason: EndReason,
    /// The epoch in which it ended.
    pub epoch: Epoch,
    /// The latest epoch of the other server that the one who ended it knew: a holder heard later lives on.
    pub knew: Epoch,
    /// When it ended, by the wall clock of the server that ended it.
    pub at: Timestamp,
    /// Until when it was borrowed, where it was: its end is remembered for as long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub borrowed: Option<Timestamp>,
}

/// Somebody who waits for seats. Its use is what it is known by: the lease that the use gets ends the waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiter {
    /// What its holder shows to keep the place.
    pub ticket: QueueTicket,
    /// The use that the seats are for.
    #[serde(rename = "use")]
    pub use_id: UseId,
    /// The id that its lease will have.
    pub lease: LeaseId,
    /// The product.
    pub product: ProductName,
    /// Who waits.
    pub user: UserName,
    /// On which computer.
    pub host: HostName,
    /// From which address, as the server saw it.
    pub address: IpAddr,
    /// How many seats it needs.
    pub seats: Seats,
    /// Where its arrival stands in the order of all records: who arrived before is served before.
    pub arrived: Position,
    /// When it arrived, by the wall clock of the server that queued it.
    pub since: Timestamp,
}

/// A durable change of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// A lease is now as given: granted, joined by a use, adopted, one use of several ended, or forced to end.
    Lease {
        /// The lease's whole state.
        lease: Box<Lease>,
        /// The uses that ended with this change.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ended: Vec<End>,
    },
    /// A lease has ended, with all its uses.
    Ended {
        /// The lease.
        lease: LeaseId,
        /// Its uses that were live until now.
        ended: Vec<End>,
    },
    /// Somebody waits now. It waits no more once a lease has its use, or the use has ended.
    Waits {
        /// The waiter.
        waiter: Box<Waiter>,
    },
    /// Somebody waits no more, and got nothing.
    Left {
        /// Its use.
        #[serde(rename = "use")]
        use_id: UseId,
    },
    /// An operator's command was carried out; its nonce is never taken again.
    Nonce {
        /// The nonce.
        nonce: String,
        /// When the command expires: the nonce can be forgotten after.
        expires: Timestamp,
    },
    /// Escrow: how the slots are shared out from here on.
    Quotas(Quotas),
}

/// The whole state of a ledger, as it is stored, merged and handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// The last record it contains.
    pub position: Position,
    /// The latest epoch of the other server whose service it covers.
    pub knew: Epoch,
    /// The live leases, by id.
    pub leases: Vec<Lease>,
    /// The ended uses that are remembered, by use.
    pub ends: Vec<End>,
    /// The nonces that were taken.
    pub nonces: Vec<(String, Timestamp)>,
    /// Who waits, by use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiters: Vec<Waiter>,
    /// Escrow: how the slots are shared out.
    #[serde(default, skip_serializing_if = "Quotas::is_empty")]
    pub quotas: Quotas,
}

impl Contents {
    /// What is left of what was borrowed, on a disk that was last written nobody knows how long ago: the wall clock
    /// says it, and the latest time ever seen holds against one set back.
    pub fn age(&mut self, wall: Timestamp) {
        for one in self.leases.iter_mut().flat_map(|lease| lease.uses.values_mut()) {
            if let Some(borrowed) = &mut one.borrowed {
                *borrowed = borrowed.aged(wall);
            }
        }
    }

    /// What is stored after a record: the model that every store keeps to.
    pub fn apply(&mut self, position: Position, record: &Record) {
        self.knew = self.position.knew_in(position.epoch, self.knew);
        self.position = position;
        let ended = match record {
            Record::Lease { lease, ended } => {
                self.leases.retain(|known| known.id != lease.id);
                self.leases.push((**lease).clone());
                self.waiters.retain(|known| !lease.uses.contains_key(&known.use_id));
                ended.as_slice()
            }
            Record::Ended { lease, ended } => {
                self.leases.retain(|known| known.id != *lease);
                ended.as_slice()
            }
            Record::Waits { waiter } => {
                self.waiters.retain(|known| known.use_id != waiter.use_id);
                self.waiters.push((**waiter).clone());
                &[]
            }
            Record::Left { use_id } => {
                self.waiters.retain(|known| known.use_id != *use_id);
                &[]
            }
            Record::Nonce { nonce, expires } => {
                self.nonces.push((nonce.clone(), *expires));
                &[]
            }
            Record::Quotas(quotas) => {
                self.quotas = quotas.clone();
                &[]
            }
        };
        for end in ended {
            self.waiters.retain(|known| known.use_id != end.use_id);
            self.ends.retain(|known| known.use_id != end.use_id);
            self.ends.push(end.clone());
        }
    }
}
