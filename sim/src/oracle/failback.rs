//! `failback`: once the primary is back and nothing is broken, it answers again, the secondary is silent, and every
//! holder's renewal got 200, or 503 and then 200.
//!
//! It looks at each return of the primary, unless service was handed over to the secondary, after which nothing breaks for long enough: twice `failoverAfter`, four
//! heartbeats and 2 s. It does not claim how long the way there takes beyond that, nor anything of new checkouts,
//! which may wait for seats.

use tandem::manifest::types::Role;

use crate::history::{Ask, Fault};
use crate::oracle::{Promise, View, Violation};

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (place, (at, fault)) in view.faults.iter().enumerate() {
        let Fault::Start { server: primary, empty: false } = fault else { continue };
        if view.handed_to(*at).is_some_and(|(_, to)| to != primary) {
            continue;
        }
        let terms = view.in_force(*at, *at);
        let [terms] = terms.as_slice() else { continue };
        let Some(secondary) = terms.servers.keys().find(|name| *name != primary) else { continue };
        let is_primary = terms.servers.get(primary).is_some_and(|one| one.role == Role::Primary);
        if !is_primary || !view.is_up(secondary, *at) || !view.is_whole(*at) {
            continue;
        }
        let settled = at + 2 * terms.failover_after + 4 * terms.heartbeat + 2_000 + terms.late;
        let until = view.faults.get(place + 1).map_or(u64::MAX, |(next, _)| *next);
        for exchange in view.exchanges.iter().filter(|exchange| exchange.asked >= *at) {
            let Some(reply) = exchange.answer.as_ref().filter(|reply| reply.at < until) else {
                continue;
            };
            let held = match exchange.ask {
                Ask::Renew { lease, .. } => view
                    .holdings
                    .get(lease.as_str())
                    .is_some_and(|holding| holding.is_live(reply.at)),
                _ => false,
            };
            let code = reply.code.unwrap_or("no code");
            let what = if exchange.asked > settled
                && exchange.to == secondary
                && exchange.given().is_some()
            {
                let late = exchange.asked - at;
                format!("`{secondary}` still answers {late}ms after `{primary}` came back")
            } else if exchange.asked > settled
                && exchange.to == primary
                && held
                && reply.status != 200
                && code != "revoked"
            {
                let late = exchange.asked - at;
                format!(
                    "`{primary}` answered a renewal with {} ({code}), {late}ms after it came back",
                    reply.status
                )
            } else if held && !matches!(reply.status, 200 | 503 | 429) && code != "revoked" {
                format!("`{}` answered a renewal with {} ({code})", exchange.to, reply.status)
            } else {
                continue;
            };
            violations.push(Violation::new(Promise::Failback, reply.at, what));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::Failback;

    fn back_at_20s() -> Story {
        let mut story = Story::started();
        story.grant(1_000, "ana", "lic-a", "L1");
        story.crash(10_000, "lic-a");
        story.renew(14_000, "ana", "lic-b", "L1", 200);
        story.start(20_000, "lic-a", false);
        story
    }

    #[test]
    fn a_primary_that_answers_again_is_well() {
        let mut story = back_at_20s();
        story.renew(20_100, "ana", "lic-b", "L1", 503);
        story.renew(21_000, "ana", "lic-a", "L1", 200);
        story.renew(60_000, "ana", "lic-a", "L1", 200);
        story.check(PROMISE, "");
    }

    #[test]
    fn a_secondary_that_does_not_fall_silent_is_seen() {
        let mut story = back_at_20s();
        story.renew(40_000, "ana", "lic-b", "L1", 200);
        story.check(PROMISE, "40010ms `lic-b` still answers 20000ms after `lic-a` came back");
    }

    #[test]
    fn a_primary_that_does_not_answer_or_forgot_a_holder_is_seen() {
        let mut story = back_at_20s();
        story.renew(21_000, "ana", "lic-a", "L1", 404);
        story.renew(40_000, "ana", "lic-a", "L1", 503);
        story.check(
            PROMISE,
            "21010ms `lic-a` answered a renewal with 404 (unknown-lease); \
             40010ms `lic-a` answered a renewal with 503 (standby), 20000ms after it came back",
        );
    }
}
