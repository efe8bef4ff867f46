//! What two ledgers must share to behave the same from now on: a search over all schedules stops at a state whose
//! digest it has seen.
//!
//! Every field is named, so that a new one does not compile before it was decided here whether it matters. What only
//! people read, wall time and what follows from other fields are left out.

use super::{
    Charge, Contents, End, EndReason, Entry, Lease, Ledger, Position, Record, Use, Waiter,
};
use crate::measure::{Epoch, Moment};
use crate::name::{LeaseId, UseId};

/// Takes in what a state is made of, each kind apart: numbers that only grow are compared among each other and moments
/// with the present, so that states at different times can be the same.
pub trait Digest {
    /// A number that matters as it is.
    fn word(&mut self, word: u64);
    /// A point in time, of which only the distance from the present matters.
    fn moment(&mut self, at: Moment);
    /// An epoch: its order among all epochs and whether it is even.
    fn epoch(&mut self, epoch: Epoch);
    /// The epoch after which a server makes its next one: later than this one.
    fn last_epoch(&mut self, epoch: Epoch);
    /// A text that matters as it is.
    fn text(&mut self, text: &str);
    /// The number of a record in its epoch: its distance from the others of that epoch.
    fn seq(&mut self, epoch: Epoch, seq: u64);
    /// The number of a grant in its epoch: its order among the grants of that epoch.
    fn grant(&mut self, epoch: Epoch, seq: u64);
    /// The number of a step of the slots in its epoch: its order among the steps of that epoch.
    fn step(&mut self, epoch: Epoch, seq: u64);
    /// That a use has ended, which matters as long as something of that use is left anywhere.
    fn ended(&mut self, use_id: &UseId, write: &mut dyn FnMut(&mut dyn Digest));
    /// Which lease.
    fn lease(&mut self, id: &LeaseId);
    /// Which use.
    fn use_id(&mut self, id: &UseId);
    /// Which command waits.
    fn ticket(&mut self, ticket: u64);
    /// A count of frames that this server sent on the connection.
    fn sent(&mut self, count: u64);
    /// A count of frames that this server received on the connection.
    fn received(&mut self, count: u64);
}

/// Whether something is there, and then the thing.
pub fn maybe<T>(
    digest: &mut dyn Digest,
    value: Option<&T>,
    write: impl FnOnce(&mut dyn Digest, &T),
) {
    digest.word(u64::from(value.is_some()));
    if let Some(value) = value {
        write(digest, value);
    }
}

impl Ledger {
    /// What matters of it. `times` says whether leases run out here: where they do not, each is given a full ttl before
    /// they do. `settled` is the last record that both disks have, where that is asked for.
    pub fn digest(&self, digest: &mut dyn Digest, times: bool, settled: Option<u64>) {
        let Self {
            position,
            knew,
            leases,
            by_use: _,
            by_seat: _,
            usage: _,
            revoked: _,
            running_out: _,
            ends,
            forgetting: _,
            nonces,
            queue,
            quotas,
            reach: _,
            taken: _,
            parked: _,
        } = self;
        position.digest(digest);
        digest.epoch(*knew);
        digest.word(leases.len() as u64);
        for entry in leases.values() {
            let Entry { lease, renewed, ends, until: _, charge, changed, seat } = &**entry;
            lease.digest(digest);
            digest.word(u64::from(seat.is_some()));
            // A parked one has no end: its holder comes back, and its time begins anew.
            if times && !lease.parked {
                digest.moment(*renewed);
            }
            for end in ends.values() {
                digest.moment(*end);
            }
            match charge {
                Charge::Assignment(index) => digest.word(*index as u64),
                Charge::Revoked(_) => digest.word(u64::MAX),
                Charge::Kept => digest.word(u64::MAX - 1),
            }
            // Asked for only where slots move, and only whether both disks have it.
            let is_open = !quotas.is_empty() && settled.is_some_and(|settled| *changed > settled);
            maybe(digest, is_open.then_some(changed), |digest, changed| {
                digest.seq(position.epoch, *changed);
            });
        }
        // When an end is forgotten is not told apart: see `keep_ends`.
        for (end, _) in ends.values() {
            end.digest(digest);
        }
        digest.word(nonces.len() as u64);
        for nonce in nonces.keys() {
            digest.text(nonce);
        }
        queue.digest(digest, times);
        let is_open = settled.is_some_and(|settled| !quotas.are_settled(position.epoch, settled));
        maybe(digest, is_open.then(|| quotas.at()).as_ref(), |digest, at| at.digest(digest));
        quotas.digest(digest);
    }

    /// The uses that are remembered as ended.
    pub fn ended(&self) -> impl Iterator<Item = &UseId> {
        self.ends.keys()
    }

    /// Remembers until then every use that has ended: for a search that forgets them itself.
    pub(crate) fn keep_ends(&mut self, until: Moment) {
        self.forgetting.clear();
        for (use_id, (_, forgotten)) in &mut self.ends {
            *forgotten = until;
            self.forgetting.insert((until, use_id.clone()));
        }
    }

    /// Forgets that a use has ended: for a search in which nobody can ask for it any more.
    pub(crate) fn forget_use(&mut self, use_id: &UseId) {
        if let Some((_, moment)) = self.ends.remove(use_id) {
            self.forgetting.remove(&(moment, use_id.clone()));
        }
    }
}

impl Contents {
    /// What matters of it: the order in which things stand in it does not.
    pub fn digest(&self, digest: &mut dyn Digest) {
        let Self { position, knew, leases, ends, nonces, waiters, quotas } = self;
        position.digest(digest);
        digest.epoch(*knew);
        digest.word(leases.len() as u64);
        let mut leases: Vec<&Lease> = leases.iter().collect();
        leases.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        for lease in leases {
            lease.digest(digest);
        }
        let mut ends: Vec<&End> = ends.iter().collect();
        ends.sort_unstable_by(|a, b| a.use_id.cmp(&b.use_id));
        for end in ends {
            end.digest(digest);
        }
        digest.word(nonces.len() as u64);
        let mut nonces: Vec<&String> = nonces.iter().map(|(nonce, _)| nonce).collect();
        nonces.sort_unstable();
        for nonce in nonces {
            digest.text(nonce);
        }
        digest.word(waiters.len() as u64);
        let mut waiters: Vec<&Waiter> = waiters.iter().collect();
        waiters.sort_unstable_by(|a, b| a.use_id.cmp(&b.use_id));
        for waiter in waiters {
            waiter.digest(digest);
        }
        quotas.digest(digest);
    }
}

impl Position {
    /// What matters of it.
    pub fn digest(self, digest: &mut dyn Digest) {
        let Self { epoch, seq } = self;
        digest.epoch(epoch);
        digest.seq(epoch, seq);
    }
}

impl Record {
    /// What matters of it.
    pub fn digest(&self, digest: &mut dyn Digest) {
        match self {
            Self::Lease { lease, ended } => {
                digest.word(0);
                lease.digest(digest);
                digest_ends(ended, digest);
            }
            Self::Ended { lease, ended } => {
                digest.word(1);
                digest.lease(lease);
                digest_ends(ended, digest);
            }
            Self::Nonce { nonce, expires: _ } => {
                digest.word(2);
                digest.text(nonce);
            }
            Self::Waits { waiter } => {
                digest.word(3);
                waiter.digest(digest);
            }
            Self::Left { use_id } => {
                digest.word(4);
                digest.use_id(use_id);
            }
            Self::Quotas(quotas) => {
                digest.word(5);
                quotas.digest(digest);
            }
        }
    }
}

fn digest_ends(ends: &[End], digest: &mut dyn Digest) {
    for end in ends {
        end.digest(digest);
    }
}

impl Lease {
    /// What matters of it.
    pub fn digest(&self, digest: &mut dyn Digest) {
        let Self {
            id,
            product: _,
            user: _,
            host: _,
            address: _,
            uses,
            assignment,
            server: _,
            granted_at: _,
            granted,
            heard,
            ttl,
            forced,
            slots,
            parked,
        } = self;
        // Who holds what is said by the uses, which have one holder each.
        digest.lease(id);
        digest.word(uses.len() as u64);
        for (use_id, Use { seats, user: _, host: _, borrowed }) in uses {
            maybe(digest, borrowed.as_ref(), |digest, borrowed| digest.word(borrowed.left.ms()));
            digest.use_id(use_id);
            digest.word(u64::from(seats.0));
        }
        digest.word(u64::from(*assignment));
        digest.epoch(granted.epoch);
        digest.grant(granted.epoch, granted.seq);
        digest.epoch(*heard);
        digest.word(ttl.ms());
        digest.word(u64::from(forced.is_some()) | u64::from(*parked) << 1);
        slots.digest(digest);
    }
}

impl Waiter {
    /// What matters of it.
    pub fn digest(&self, digest: &mut dyn Digest) {
        let Self {
            // Only shown: the place is found by the use.
            ticket: _,
            use_id,
            lease,
            product: _,
            user: _,
            host: _,
            address: _,
            seats,
            arrived,
            since: _,
        } = self;
        digest.use_id(use_id);
        digest.lease(lease);
        digest.word(u64::from(seats.0));
        arrived.digest(digest);
    }
}

impl End {
    /// What matters of it.
    pub fn digest(&self, digest: &mut dyn Digest) {
        let Self { lease, use_id, reason, epoch, knew, at: _, borrowed: _ } = self;
        digest.ended(use_id, &mut |digest| {
            digest.lease(lease);
            digest.use_id(use_id);
            digest.word(match reason {
                EndReason::Released => 0,
                EndReason::Expired => 1,
                EndReason::Revoked => 2,
                EndReason::Cancelled => 3,
            });
            digest.epoch(*epoch);
            digest.epoch(*knew);
        });
    }
}
