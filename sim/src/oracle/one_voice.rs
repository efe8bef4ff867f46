//! `one-voice`: a secondary that heard, within `failoverAfter`, a heartbeat of its primary that says `active` grants
//! and renews nothing, unless the primary handed over to it.
//!
//! When a request was handled is not seen from outside, only when it was sent and answered; it is a violation where
//! every moment in between was within `failoverAfter` of a heartbeat that the secondary read. On a real machine it is
//! seen when one came there: a busy server reads it a little later. It does not claim anything of a server whose role
//! changed meanwhile, nor after a planned handover to it.

use tandem::manifest::types::Role;

use crate::history::Fault;
use crate::oracle::{Promise, View, Violation};

/// The part of what may be late on a real machine that a heartbeat may lie there unread.
const UNREAD: u64 = 4;
/// A clock may be fast by the so-manieth part: whoever measures silence on it waits for less.
const FAST: u64 = 100;

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for exchange in &view.exchanges {
        let (Some((at, _)), server) = (exchange.given(), exchange.to) else { continue };
        if view.role(server, exchange.asked, at) != Some(Role::Secondary) {
            continue;
        }
        let handed = view.faults.iter().any(|(when, fault)| {
            *when <= at && matches!(fault, Fault::Handover { to } if to == server)
        });
        let terms = view.in_force(exchange.asked, at);
        let Some(patience) = terms.iter().map(|terms| terms.failover_after).min() else { continue };
        let unread = terms.iter().map(|terms| terms.late / UNREAD).max().unwrap_or(0);
        if handed {
            continue;
        }
        let started = view.started(server, exchange.asked);
        let mut last = None;
        let mut longest = 0;
        for (when, active, _) in view.heard_between(server, started, at).iter().copied() {
            if !active {
                continue;
            }
            if when + unread <= exchange.asked {
                last = Some(when);
            } else if let Some(before) = last {
                longest = longest.max(when + unread - before);
                last = Some(when);
            }
        }
        let Some(before) = last else { continue };
        longest = longest.max(at - before);
        if longest < patience - patience / FAST {
            violations.push(Violation::new(
                Promise::OneVoice,
                at,
                format!(
                    "`{server}`, a secondary, answered with a lease though it never missed its active primary for \
                     more than {longest}ms of {patience}ms"
                ),
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::OneVoice;

    #[test]
    fn a_secondary_that_waited_in_silence_may_answer() {
        let mut story = Story::started();
        story.hear(1_000, "lic-b", true, true);
        story.grant(4_100, "ana", "lic-b", "L1");
        story.check(PROMISE, "");
    }

    #[test]
    fn a_secondary_that_answers_beside_its_primary_is_seen() {
        let mut story = Story::started();
        story.hear(1_000, "lic-b", true, true);
        story.grant(2_000, "ana", "lic-b", "L1");
        story.check(
            PROMISE,
            "2010ms `lic-b`, a secondary, answered with a lease though it never missed its active primary for more \
             than 1010ms of 3000ms",
        );
    }

    #[test]
    fn an_answer_on_its_way_while_the_primary_came_back_is_well() {
        let mut story = Story::started();
        story.hear(1_000, "lic-b", true, true);
        story.grant_late(4_900, 6_000, "ana", "lic-b", "L1");
        story.hear(5_000, "lic-b", true, false);
        story.check(PROMISE, "");
    }

    #[test]
    fn a_busy_server_may_read_a_heartbeat_a_little_later_than_it_came() {
        for (came, seen) in [(3_700, true), (3_900, false)] {
            let mut story = Story::started().with_late(1_000);
            story.hear(1_000, "lic-b", true, true);
            story.hear(came, "lic-b", true, false);
            story.grant(came + 30, "ana", "lic-b", "L1");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{came}");
        }
        let mut story = Story::started();
        story.hear(1_000, "lic-b", true, true);
        story.hear(3_900, "lic-b", true, false);
        story.grant(3_930, "ana", "lic-b", "L1");
        assert!(!story.judged(PROMISE).is_empty(), "nothing is late in a simulation");
    }

    #[test]
    fn what_an_earlier_process_heard_and_a_primary_that_is_not_active_do_not_count() {
        let mut story = Story::started();
        story.hear(1_000, "lic-b", true, true);
        story.kill(1_100, "lic-b");
        story.start(1_200, "lic-b", false);
        story.hear(1_300, "lic-b", false, false);
        story.grant(2_000, "ana", "lic-b", "L1");
        story.check(PROMISE, "");
    }
}
