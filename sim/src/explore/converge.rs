//! `convergence`: from any state in which no fault is at work the pair comes together within a bounded time, when
//! everything that is under way arrives and nobody asks for anything.
//!
//! One order is tried for each state: what is under way first, deadlines then, and time at last. It does not claim that
//! every order leads there.

use tandem::ledger::Ledger;
use tandem::name::LeaseId;
use tandem::pair::{Pair, State};

use super::canon::Canon;
use super::choice::Choice;
use super::client::Stage;
use super::search::Names;
use super::setup::Setup;
use super::world::{Broken, World};
use crate::oracle::Promise;

/// How many heartbeats it may take: a catch-up that was given up is tried again after five times aloneAfter.
const TICKS: usize = 80;
/// How much may happen in one of them.
const STEPS: usize = 500;

/// Follows the one way from a state until the two are in step, or it comes to a state from which they are known to be.
pub(super) fn judge(
    setup: &Setup,
    from: &World,
    canon: &mut Canon,
    known: &Names,
) -> Result<(), Broken> {
    let mut names = Vec::new();
    let mut world = from.clone();
    for _ in 0..TICKS {
        let name = canon.name(&world, true);
        if known.contains(name) {
            return note(known, &names);
        }
        names.push(name);
        settle(setup, &mut world)?;
        if is_together(setup, &world) {
            return note(known, &names);
        }
        world.apply(setup, Choice::Tick)?;
    }
    let state = |at: usize| match world.machines[at].pair() {
        Some(pair) => format!("`{}` is {}", setup.names[at], pair.standing().state),
        None => format!("`{}` does not run", setup.names[at]),
    };
    let what = format!("after {TICKS} heartbeats without a fault {} and {}", state(0), state(1));
    Err(Broken::new(Promise::Convergence, what))
}

fn note(known: &Names, names: &[u128]) -> Result<(), Broken> {
    for name in names {
        known.insert(*name);
    }
    Ok(())
}

/// Lets everything happen that is under way.
pub(super) fn settle(setup: &Setup, world: &mut World) -> Result<(), Broken> {
    let mut choices = Vec::new();
    for _ in 0..STEPS {
        choices.clear();
        if let Some(client) = world.clients.iter().find(|client| client.granted.is_some()) {
            choices.push(Choice::Hear(client.who));
        } else {
            world.inner(&mut choices);
        }
        let Some(choice) = choices.first() else {
            return if world.may_tick() {
                Ok(())
            } else {
                Err(endless("nothing can happen, and time cannot pass"))
            };
        };
        world.apply(setup, *choice)?;
    }
    Err(endless("more happens in one heartbeat than could ever be carried out"))
}

fn endless(what: &str) -> Broken {
    Broken::new(Promise::Convergence, what.to_owned())
}

/// Whether one serves, the other is in step, and both know the same.
pub(super) fn is_together(setup: &Setup, world: &World) -> bool {
    let [a, b] = world.machines.each_ref().map(|machine| machine.pair());
    let (Some(a), Some(b)) = (a, b) else { return false };
    let states = [a, b].map(|pair| pair.standing().state);
    let ready = |pair: &Pair| pair.is_ready();
    let paired =
        |pair: &Pair| pair.status(Setup::now(world.now)).peer.is_some_and(|peer| peer.paired);
    let (one, other) = (a.ledger(), b.ledger());
    let ids = |ledger: &Ledger| -> Vec<LeaseId> {
        ledger.leases(world.now).map(|view| view.lease.id.clone()).collect()
    };
    let bundle = |pair: &Pair| pair.committed().map(tandem::pair::Committed::hash);
    bundle(a) == bundle(b)
        && setup.is_shared_out(a)
        && setup.is_shared_out(b)
        && matches!(states, [State::Active, State::Standby] | [State::Standby, State::Active])
        && ready(a)
        && ready(b)
        && paired(a)
        && paired(b)
        && one.position() == other.position()
        && ids(one) == ids(other)
}

/// Whether the pair has come to rest: it is together, every slot is given out again, and nothing is parked or waits. Then
/// each use of which somebody believes that it has a seat must have one at both.
pub(super) fn judge_rest(setup: &Setup, world: &World) -> Result<bool, Broken> {
    let [Some(a), Some(b)] = world.machines.each_ref().map(|machine| machine.pair()) else {
        return Ok(false);
    };
    let pairs = [a, b];
    if !is_together(setup, world) || !pairs.iter().all(|pair| setup.has_all_slots(pair)) {
        return Ok(false);
    }
    for client in world.clients.iter().filter(|client| client.believes(world.now)) {
        let Stage::Holds { lease, split: false, .. } = &client.stage else { continue };
        // In another lease, where its use was given twice and its holder has not come yet.
        let used = setup.token(client.who, client.number, lease).use_id;
        let has_seat = |pair: &Pair| {
            pair.ledger().leases(world.now).any(|view| view.lease.uses.contains_key(&used))
        };
        if !pairs.into_iter().all(has_seat) {
            let what = format!("client {} holds a seat that the pair does not know", client.who);
            return Err(Broken::new(Promise::Durability, what));
        }
    }
    Ok(true)
}
