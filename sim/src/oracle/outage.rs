//! `outage`: no holder loses a seat in a total outage shorter than the ttl less one renewal interval.
//!
//! It looks at each time in which both servers were down, from the last death to when the first that came back had to
//! serve, where nothing else was broken or broke meanwhile: a holder who asked must have been renewed before its belief
//! ended. It does not claim anything of a client that did not ask, nor of one that gave its seat back or borrowed it, nor
//! of a seat that the server which came back never heard of, where all that it has are held by what it knows.

use crate::history::{Ask, Fault};
use crate::oracle::durability::must_know;
use crate::oracle::view::{Death, Holding};
use crate::oracle::{Promise, View, Violation};

/// A time in which nobody could be served.
struct Outage {
    from: u64,
    until: u64,
}

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for Outage { from, until } in outages(view) {
        for holding in
            view.holdings.values().filter(|one| one.is_live(from) && one.borrowed.is_none())
        {
            let Some((given, end)) = last_belief(holding, until) else { continue };
            // The ttl, and less one renewal interval, a third of it.
            let ttl = end.saturating_sub(given);
            if until.saturating_sub(from) >= ttl.saturating_sub(ttl / 3) || end > view.end {
                continue;
            }
            let kept = holding.beliefs.iter().any(|(_, until, _)| *until > end);
            let left = holding.released.is_some_and(|released| released <= end);
            let mut renewals = view.exchanges.iter().filter(|exchange| {
                matches!(exchange.ask, Ask::Renew { lease, .. } if lease == holding.id)
                    && (until..end).contains(&exchange.asked)
            });
            let asked = renewals.clone().next().is_some();
            let is_crowded_out = renewals.any(|exchange| {
                exchange.got(409).is_some_and(|reply| reply.code == Some("no-seat-free"))
                    && !must_know(view, exchange.to, holding, exchange.asked)
            });
            if asked && !kept && !left && !is_crowded_out {
                let (id, ms) = (holding.id, until.saturating_sub(from));
                let what = format!("the holder of the lease {id} lost it in an outage of {ms}ms");
                violations.push(Violation::new(Promise::Outage, end, what));
            }
        }
    }
    violations
}

/// What a holder believed last before the outage was over: when that was given, and until when it held.
fn last_belief(holding: &Holding<'_>, until: u64) -> Option<(u64, u64)> {
    let before = holding.beliefs.iter().filter(|(from, _, _)| *from <= until);
    before.max_by_key(|(_, until, _)| *until).map(|(from, until, _)| (*from, *until))
}

fn outages(view: &View<'_>) -> Vec<Outage> {
    let mut found = Vec::new();
    for Death { place, at: from, peer, terms, .. } in view.deaths() {
        if view.is_up(peer, from) || !view.is_whole(from) {
            continue;
        }
        let mut after = view.faults.iter().skip(place + 1);
        let Some((back, Fault::Start { empty: false, .. })) = after.next() else { continue };
        // Two waits of a server that finds nobody or waits for its peer, and some time to connect.
        let until = back + 2 * terms.failover_after + 4 * terms.heartbeat + 2_000 + terms.late;
        let calm = after
            .take_while(|(at, _)| *at <= until)
            .all(|(_, fault)| matches!(fault, Fault::Start { empty: false, .. }));
        if calm {
            found.push(Outage { from, until });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::Outage;

    /// Both were away from 10 s to a minute.
    fn dark() -> Story {
        let mut story = Story::started();
        story.grant(1_000, "ana", "lic-a", "L1");
        story.kill(9_000, "lic-b");
        story.kill(10_000, "lic-a");
        story.start(60_000, "lic-a", false);
        story.start(61_000, "lic-b", false);
        story
    }

    #[test]
    fn a_holder_who_is_renewed_in_time_is_well() {
        let mut story = dark();
        story.renew(101_000, "ana", "lic-a", "L1", 200);
        story.renew(500_000, "ana", "lic-a", "L1", 200);
        story.check(PROMISE, "");
    }

    #[test]
    fn a_holder_who_asked_and_lost_its_seat_is_seen() {
        let mut story = dark();
        story.renew(101_000, "ana", "lic-a", "L1", 503);
        story.refuse(400_000, "ana", "lic-a", 409, "no-seat-free");
        story.check(PROMISE, "301000ms the holder of the lease L1 lost it in an outage of 60000ms");
    }

    #[test]
    fn a_holder_whose_seat_went_to_another_is_seen_where_the_server_must_know_its_lease() {
        let mut story = dark();
        story.turn_away(101_000, "ana", "lic-a", "L1", "no-seat-free");
        story.refuse(400_000, "ana", "lic-a", 409, "no-seat-free");
        story.check(PROMISE, "301000ms the holder of the lease L1 lost it in an outage of 60000ms");
        let mut story = dark();
        story.turn_away(101_000, "ana", "lic-b", "L1", "no-seat-free");
        story.refuse(400_000, "ana", "lic-a", 409, "no-seat-free");
        story.check(PROMISE, "");
    }

    #[test]
    fn a_long_outage_and_a_holder_who_never_asked_are_nothing_to_promise() {
        let mut story = Story::started();
        story.grant(1_000, "ana", "lic-a", "L1");
        story.kill(9_000, "lic-b");
        story.kill(10_000, "lic-a");
        story.start(220_000, "lic-a", false);
        story.renew(240_000, "ana", "lic-a", "L1", 503);
        story.refuse(400_000, "ana", "lic-a", 409, "no-seat-free");
        story.check(PROMISE, "");
        let mut story = dark();
        story.refuse(400_000, "ana", "lic-a", 409, "no-seat-free");
        story.check(PROMISE, "");
    }
}
