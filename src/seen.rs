//! Marks: `seen!(Name)` beside a branch says that a run came there. A unit test expects its mark, and a campaign of the
//! simulation lists the marks that it never reached: what is never reached is not proved.
//!
//! A mark is one bit of the thread it runs on; it decides nothing and costs about as much as an assignment.

use std::cell::Cell;

use crate::named::named;

// One line a mark, in the order of the tree.
named! {
    /// A place in the code that a run can come to.
    Mark {
        /// A seat was not lent, since the servers were not paired.
        BorrowNotPaired = "borrow-not-paired",
        /// What was lent and not acknowledged was taken back by a server that went on alone.
        BorrowTakenBack = "borrow-taken-back",
        /// Somebody who waited was given a seat.
        WaiterServed = "waiter-served",
        /// Somebody who waited went, and its request with it.
        WaiterHungUp = "waiter-hung-up",
        /// Somebody who waited was dropped, since nobody asked for it.
        WaiterDropped = "waiter-dropped",
        /// A seat that was kept for one place went to another one of its holder.
        KeptSeatTaken = "kept-seat-taken",
        /// A holder was given a seat, and its other places stand behind.
        TurnEnded = "turn-ended",
        /// A place in the queue was found to have ended at the other server.
        PlaceEnded = "place-ended",
        /// Somebody who waited was refused, since a new bundle gives it no seat.
        WaiterUnentitled = "waiter-unentitled",
        /// A lease was adopted by its token.
        Adopted = "adopted",
        /// A seat was refused in grace.
        RefusedInGrace = "refused-in-grace",
        /// A primary that lost its secondary went on alone.
        WentAlone = "went-alone",
        /// A secondary took the place of a silent primary, knowing every lease.
        TookOverInStep = "took-over-in-step",
        /// A secondary took the place of a silent primary, not knowing every lease.
        TookOverStale = "took-over-stale",
        /// Two ledgers were merged.
        Merged = "merged",
        /// A secondary was given the whole ledger.
        CaughtUp = "caught-up",
        /// A server found that it had been paused, and started anew.
        WokeLate = "woke-late",
        /// A server found that its disk hangs.
        DiskHung = "disk-hung",
        /// A primary found that none of its licenses is valid, and stepped aside.
        Unlicensed = "unlicensed",
        /// A committed bundle gave way to the peer's.
        BundleHeld = "bundle-held",
        /// A peer's bundle was refused, as a stranger's.
        BundleRefused = "bundle-refused",
        /// A secondary served without its primary for as long as a license allows.
        StoodAloneTooLong = "stood-alone-too-long",
        /// A lease over the capacity was revoked after a split.
        SurplusRevoked = "surplus-revoked",
        /// A primary that had stepped aside got a valid license.
        LicensedAgain = "licensed-again",
        /// A primary found its peer within its time.
        FoundPeer = "found-peer",
        /// A primary found no peer within its time.
        FoundNoPeer = "found-no-peer",
        /// Service was handed over, by an operator's word.
        HandedOver = "handed-over",
        /// A server learned from its peer that it leads now.
        LedByWord = "led-by-word",
        /// The peer to which service was handed over did not take it.
        HandoverFailed = "handover-failed",
        /// A swap of the roles made a server the primary.
        BecamePrimary = "became-primary",
        /// A swap of the roles made a server the secondary.
        BecameSecondary = "became-secondary",
        /// A server that made the same epochs as its peer took the others.
        ParityChanged = "parity-changed",
        /// Escrow: a lease ran out and kept its slots.
        Parked = "parked",
        /// Escrow: the holder of a parked lease came back.
        Revived = "revived",
        /// Escrow: parked slots were freed, since both servers knew of it.
        FreedParked = "freed-by-heal",
        /// Escrow: a lease was moved from one server's slots to the other's.
        Shifted = "lease-shifted",
        /// Escrow: quotas were lowered or raised.
        QuotasMoved = "quotas-moved",
        /// Escrow: a step of a transfer was void, since the connection was lost before both had it.
        TransferRepeated = "transfer-repeated",
        /// Escrow: a server was fenced.
        Fenced = "fenced",
        /// Escrow: all the slots of a fenced server were taken.
        Replaced = "fence-completed",
        /// Escrow: a fenced server was paired again.
        FenceLifted = "fence-lifted",
        /// Escrow: a server alone refused what waited for the peer's slots.
        RefusedUncovered = "refused-uncovered",
        /// Escrow: a server came back with an empty disk, and its slots were counted as lost.
        SlotsLost = "slots-lost",
    }
}

/// A set of marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u128);

const _: () = assert!(Mark::ALL.len() <= 128, "a set of marks is a u128");

impl Marks {
    /// Whether the mark is in the set.
    #[must_use]
    pub const fn has(self, mark: Mark) -> bool {
        self.0 & (1 << mark as u32) != 0
    }

    /// The marks of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

thread_local! {
    static SEEN: Cell<u128> = const { Cell::new(0) };
}

/// Notes that a run came here: say it with [`seen!`](crate::seen!).
#[inline]
pub fn note(mark: Mark) {
    SEEN.with(|seen| seen.set(seen.get() | 1 << mark as u32));
}

/// The marks that this thread has come to since they were last taken.
#[must_use]
pub fn take() -> Marks {
    Marks(SEEN.with(|seen| seen.replace(0)))
}

/// Notes that a run came here: `seen!(WentAlone);`.
#[macro_export]
macro_rules! seen {
    ($name:ident) => {
        $crate::seen::note($crate::seen::Mark::$name)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_told_once() {
        assert_eq!(take(), Marks::default());
        crate::seen!(Merged);
        let seen = take();
        assert!(seen.has(Mark::Merged) && !seen.has(Mark::WentAlone));
        assert_eq!(take(), Marks::default());
    }

    #[test]
    fn names_are_names_of_their_own() {
        let names: std::collections::BTreeSet<_> = Mark::ALL.iter().map(|m| m.name()).collect();
        assert_eq!(names.len(), Mark::ALL.len());
    }
}
