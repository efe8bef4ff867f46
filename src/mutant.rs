//! Known-bad variants of single lines, to prove that a check would notice: `mutant!(Name)` beside the line it breaks.
//!
//! Without the `mutants` feature the condition is constant `false` and costs nothing; with it at most one mutant is
//! on in the whole process, the chosen one. Never built into the product.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::named::named;

// One line a mutant, in the order of the tree.
named! {
    /// A line that is wrong on purpose.
    Mutant {
        /// A license's role is not part of what its vendor signs, and the label is not held against the payload.
        RoleNotInSignature = "role-not-in-signature",
        /// A license counts outside its dates.
        ServesOutOfDate = "serves-out-of-date",
        /// A secondary that hears its primary serves all the same.
        SecondaryIgnoresHeartbeats = "secondary-ignores-heartbeats",
        /// A secondary takes over after a part of the silence that it must wait for.
        TakesOverEarly = "takes-over-early",
        /// A client is answered before its record is durable anywhere.
        AckBeforeSync = "ack-before-sync",
        /// A paired primary answers before its secondary has the record.
        AckBeforePeer = "ack-before-peer",
        /// A primary that lost its secondary grants at once, without waiting until that knows.
        AloneAtOnce = "alone-at-once",
        /// What waits for the secondary is answered as soon as that is lost.
        AnswersAtPeerLost = "answers-at-peer-lost",
        /// A checkout that returns the lease already held is answered from memory.
        HeldFromMemory = "held-lease-from-memory",
        /// An adopted lease is answered from memory: no record is made of it, and it counts nowhere.
        AdoptedFromMemory = "adopted-from-memory",
        /// A server that may not know every lease grants all the same.
        NoGrace = "no-grace",
        /// A server that may not know every lease renews none.
        GraceRenewsNothing = "grace-renews-nothing",
        /// A secondary that was in step does not trust it, and grants nothing after it took over.
        GraceThoughInStep = "grace-though-in-step",
        /// A server that begins to serve gives the leases that it knows no time.
        NoTimeAtStart = "no-time-at-start",
        /// A secondary that has served nobody counts itself in step as soon as it hears its primary.
        InStepByOwnView = "in-step-by-own-view",
        /// The ledger of a secondary that has served is overwritten, not merged.
        CatchUpOverwrites = "catch-up-overwrites",
        /// A standby counts as caught up with what its disk does not have.
        CatchUpNotSaved = "catch-up-not-saved",
        /// A lease that ran out lives on at the standby, and is back after a takeover.
        GhostReturns = "ghost-of-an-expired-lease",
        /// What the other server hands over is thrown away.
        TakesOverNothing = "takes-over-nothing",
        /// Of a ledger that comes in parts only the first is taken.
        FirstPartOnly = "first-part-only",
        /// A secondary that is asked to hand over goes on serving.
        HandOverIgnored = "hand-over-ignored",
        /// Two ledgers that end in one epoch count as equal: the shorter one is not caught up.
        EqualEpochs = "equal-epochs-equal-ledgers",
        /// The holder of a seat that no assignment gives any more keeps it.
        RenewsUnentitled = "renews-unentitled",
        /// A seat is lent by a server whose peer does not know of it.
        BorrowAlone = "borrow-alone",
        /// What is borrowed is revoked by a bundle that gives its holder nothing.
        BorrowDropped = "borrow-dropped",
        /// A newcomer takes a free seat that somebody waits for.
        NewcomerPasses = "newcomer-passes",
        /// Waiters of the other server lose their places when two ledgers are merged.
        MergeLosesOrder = "merge-loses-order",
        /// A place that ended at one server comes back when two ledgers are merged.
        EndedPlacesReturn = "ended-places-return",
        /// A place that a holder left keeps its turn when the holder is given a seat by another one.
        TurnNeverEnds = "turn-never-ends",
        /// An active server that was paused wakes up and keeps serving.
        WakesServing = "wakes-serving",
        /// A server that hands service over keeps serving until its peer asks for it.
        HandsOverServing = "hands-over-serving",
        /// A primary that takes the place of a dead leader gives service back to that when it returns.
        TakesOverWithoutLead = "takes-over-without-lead",
        /// A bundle that swaps the roles takes effect at each server as it is committed there.
        RolesAtOnce = "roles-at-once",
        /// A server whose disk hangs goes on as if it did not.
        HungDiskUnnoticed = "hung-disk-unnoticed",
        /// A server that starts speaks to its peer before its disk has taken a write.
        SpeaksBeforeWriting = "speaks-before-writing",
        /// A primary none of whose licenses is valid keeps its secondary silent.
        ServesUnlicensed = "serves-unlicensed",
        /// A bundle is served that its disk does not have.
        BundleNotSaved = "bundle-not-saved",
        /// A server keeps its bundle from a peer that runs an older one.
        KeepsBundle = "keeps-bundle",
        /// A server offers only what it signed last to a peer that signed something else before.
        OffersTheEndAlone = "offers-the-end-alone",
        /// A secondary serves without its primary for longer than its licenses allow.
        StandsAloneForever = "stands-alone-forever",
        /// What two servers gave too much drains although the manifest says `onOverGrant: revoke`.
        DrainsInsteadOfRevoking = "drains-instead-of-revoking",
        /// Escrow: a server alone gives out the slots of both.
        EscrowGrantsWhole = "escrow-grants-whole",
        /// Escrow: a server alone reuses the slot of a lease that ran out at it.
        EscrowReusesExpired = "escrow-owner-reuses-expired-slot",
        /// Escrow: a held lease is returned, or joined, by a server that has no slot for it.
        EscrowReturnsUncovered = "escrow-other-returns-held-lease",
        /// Escrow: a slot that is parked at one server is freed though its lease did not run out at the other.
        EscrowFreesUnheard = "escrow-frees-before-peer-knows",
        /// Escrow: a lease moves to the other server's slots before that has it there.
        EscrowShiftsAtOnce = "escrow-lease-moved-at-once",
        /// Escrow: what waits for the peer is answered by a server that went on alone, on the peer's slots.
        EscrowAnswersUncovered = "escrow-alone-answers-on-peers-slot",
        /// Escrow: a quota is raised before the other is durably lowered.
        CreditedBeforeDebitDurable = "quota-credited-before-debit-durable",
        /// Escrow: slots that a fence, or a snapshot for a lost disk, made void are credited again at once.
        CreditedAgainAfterFence = "transfer-credited-after-fence-or-snapshot",
        /// Escrow: a fence takes the slots at once, without waiting for a ttl.
        FenceAtOnce = "escrow-fence-at-once",
        /// The world, not the pair: clocks drift further than is assumed.
        ClocksDriftFar = "clocks-drift-far",
        /// The world, not the pair: a disk says that a write is durable which is not.
        DiskIgnoresSync = "disk-ignores-sync",
    }
}

impl Mutant {
    /// The mutant of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mutant| mutant.name() == name)
    }
}

/// 0 for none, else 1 and the mutant's place in the enum.
static CHOSEN: AtomicUsize = AtomicUsize::new(0);

/// Turns a mutant on, instead of the one that was on. Without the feature nothing happens.
pub fn choose(mutant: Mutant) {
    CHOSEN.store(mutant as usize + 1, Ordering::Relaxed);
}

/// Turns the chosen mutant off.
pub fn choose_none() {
    CHOSEN.store(0, Ordering::Relaxed);
}

thread_local! {
    static REACHED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the mutant is on: ask with [`mutant!`](crate::mutant!), last of all conditions, since a mutant that is on and
/// asked for counts as reached.
#[must_use]
pub fn is_on(mutant: Mutant) -> bool {
    let on = cfg!(feature = "mutants") && CHOSEN.load(Ordering::Relaxed) == mutant as usize + 1;
    if on {
        REACHED.with(|reached| reached.set(true));
    }
    on
}

/// Whether the chosen mutant made a difference on this thread since this was last asked.
#[must_use]
pub fn take_reached() -> bool {
    REACHED.with(Cell::take)
}

/// Whether the named mutant is on: `if mutant!(RoleNotInSignature) { … }`.
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutant::is_on($crate::mutant::Mutant::$name)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_is_found_by_its_name() {
        for &mutant in Mutant::ALL {
            assert_eq!(Mutant::from_name(mutant.name()), Some(mutant));
        }
        assert_eq!(Mutant::from_name("no-such"), None);
    }
}
