//! `role-encoding`: no server serves from a license that is not encoded for its role, nor outside a license's dates;
//! a bundle that must be refused is taken by nobody.
//!
//! It sees stage and commit answers, the licenses that tokens name, and the bundles on the disks. It does not claim
//! that a license which no token names was left unused, nor does it verify a signature: what must be refused is said
//! by who made it.

use tandem::manifest::types::Role;

use crate::history::{Ask, Event, Fault, Lease, ServerTerms};
use crate::oracle::view::Exchange;
use crate::oracle::{Promise, View, Violation};

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut broken = |at: u64, what: String| {
        violations.push(Violation::new(Promise::RoleEncoding, at, what));
    };
    let refused = |bundle: &str| {
        view.terms(bundle).and_then(|terms| terms.refused_for.as_deref().map(str::to_owned))
    };
    for exchange in &view.exchanges {
        let (bundle, done) = match exchange.ask {
            Ask::Stage { bundle } => (bundle, "staged"),
            Ask::Commit { bundle, .. } => (bundle, "committed"),
            _ => continue,
        };
        if let (Some(reason), Some(reply)) = (refused(bundle), exchange.got(200)) {
            broken(
                reply.at,
                format!("`{}` {done} a bundle that must be refused: {reason}", exchange.to),
            );
        }
    }
    for entry in view.entries {
        if let Event::OnDisk { server, bundle: Some(bundle), .. } = &entry.event
            && let Some(reason) = refused(bundle)
        {
            broken(entry.at, format!("`{server}` holds a bundle that must be refused: {reason}"));
        }
    }
    for exchange in &view.exchanges {
        let Some((at, lease)) = exchange.given() else { continue };
        let mut in_force = view.in_force(exchange.asked, at);
        in_force.retain(|terms| view.roles_may_be_in_effect(terms, at));
        let terms: Vec<&ServerTerms> =
            in_force.iter().filter_map(|terms| terms.servers.get(exchange.to)).collect();
        if terms.is_empty() {
            broken(
                at,
                format!("`{}` gave a lease and runs no bundle that anybody committed", exchange.to),
            );
            continue;
        }
        let fits = |id: &String| {
            terms.iter().flat_map(|terms| &terms.licenses).any(|license| license.id == *id)
        };
        if let Some(id) = lease.licenses.iter().find(|id| !fits(id)) {
            let server = exchange.to;
            broken(
                at,
                format!("`{server}` gave a lease from `{id}`, which is not encoded for its role"),
            );
        }
        let new = matches!(exchange.ask, Ask::Checkout { .. }) && exchange.got(201).is_some();
        if new && let Some(late) = alone_too_long(view, exchange, &terms, lease) {
            let server = exchange.to;
            broken(
                at,
                format!("`{server}` gave a seat {late}ms after its licenses let it serve alone"),
            );
        }
        let dated = |at| {
            let dates = view.dates(exchange.to, at);
            let offers = |terms: &&ServerTerms| {
                dates.iter().any(|at| terms.capacity(&lease.product, *at) > 0)
            };
            terms.iter().any(offers)
        };
        if new && !dated(exchange.asked) && !dated(at) {
            let (server, product) = (exchange.to, &lease.product);
            broken(
                at,
                format!(
                    "`{server}` gave a seat of `{product}`, of which it has no license in date"
                ),
            );
        }
    }
    violations
}

/// How far a secondary that gives a seat is beyond the time for which the shortest of its licenses lets it serve without
/// its primary. Its clock may be slow; where it was set back, a server that begins anew, for whatever reason, has
/// forgotten up to a minute of the silence.
fn alone_too_long(
    view: &View<'_>,
    exchange: &Exchange<'_>,
    terms: &[&ServerTerms],
    lease: &Lease,
) -> Option<u64> {
    let licenses = terms.iter().flat_map(|terms| &terms.licenses);
    let of = licenses.filter(|license| license.product.eq_ignore_ascii_case(&lease.product));
    let allowed = of.map(|license| license.standalone).collect::<Option<Vec<_>>>()?;
    let allowed = allowed.into_iter().max()?;
    if terms.iter().any(|terms| terms.role != Role::Secondary) {
        return None;
    }
    let (beat, _, _) =
        view.heard(exchange.to).take_while(|(at, ..)| *at <= exchange.asked).last()?;
    // A primary that is back, goes on, opens its disk again, or reaches this server again says so before its first heartbeat;
    // a server with an empty disk has missed nobody yet.
    let (given, _) = exchange.given()?;
    let until = view.faults.iter().take_while(|(at, _)| *at <= given);
    let back = until.filter(|(_, fault)| match fault {
        Fault::Heal { to, .. } => to == exchange.to,
        Fault::Start { server, empty } => server != exchange.to || *empty,
        Fault::Resume { server } => server != exchange.to,
        Fault::Disk { server, what } => server != exchange.to && what == "well",
        _ => false,
    });
    let heard = beat.max(back.map(|(at, _)| *at).last().unwrap_or(0));
    if exchange.asked <= heard + allowed {
        return None;
    }
    let greeting = view.peer(exchange.to, exchange.asked, given);
    let greeting = greeting.and_then(|peer| last_greeting(view, peer, beat, given));
    let heard = heard.max(greeting.unwrap_or(0));
    let slack = allowed / 50 + if set_back(view, exchange.to, given) { 60_000 } else { 0 };
    let alone = exchange.asked.saturating_sub(heard);
    (alone > allowed + slack).then(|| alone - allowed)
}

fn set_back(view: &View<'_>, server: &str, before: u64) -> bool {
    let until = view.faults.iter().take_while(|(at, _)| *at <= before);
    until
        .map(|(_, fault)| fault)
        .any(|fault| matches!(fault, Fault::Clock { server: of, ms } if of == server && *ms < 0))
}

/// Until when, at the latest, a server whose last heartbeat was that one may have said who it is: one with an empty disk
/// that takes nothing fails on the bundle that its peer offers, and begins anew each time.
fn last_greeting(view: &View<'_>, server: &str, beat: u64, given: u64) -> Option<u64> {
    let before = view.faults.iter().take_while(|(at, _)| *at <= given);
    let ends = view.faults.iter().skip(1).map(|(at, _)| (*at).min(given));
    let spans = before.map(|(at, _)| *at).zip(ends.chain(std::iter::once(given)));
    let greets = |at: u64| {
        let is_bad = view.disk(server, at).is_some_and(|what| what != "well");
        let is_up = view.is_up(server, at) && view.links_are_whole(at);
        is_bad && is_up && view.was_emptied(server, beat, at)
    };
    spans.filter(|(from, _)| greets(*from)).map(|(_, to)| to).last()
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::RoleEncoding;

    #[test]
    fn a_refused_forgery_and_ordinary_leases_are_well() {
        let mut story = Story::started();
        story.forgery("sha256:bad", "wrong-role");
        story.stage(100, "lic-a", "sha256:bad", 422);
        story.grant(200, "ana", "lic-a", "L1");
        story.check(PROMISE, "");
    }

    #[test]
    fn a_server_that_takes_a_forgery_is_seen() {
        let mut story = Story::started();
        story.forgery("sha256:bad", "wrong-role");
        story.stage(100, "lic-b", "sha256:bad", 200);
        story.check(PROMISE, "110ms `lic-b` staged a bundle that must be refused: wrong-role");
    }

    #[test]
    fn a_lease_from_the_other_roles_license_is_seen() {
        let mut story = Story::started();
        story.licenses = vec!["designer-a".into()];
        story.grant(200, "ana", "lic-b", "L1");
        story.check(
            PROMISE,
            "210ms `lic-b` gave a lease from `designer-a`, which is not encoded for its role",
        );
    }

    #[test]
    fn a_later_bundle_with_swapped_roles_does_not_put_them_in_effect() {
        let mut story = Story::started();
        for (at, generation) in [(100, 2), (200, 3)] {
            story.commit(at, "lic-a", "sha256:swapped", generation);
            story.commit(at, "lic-b", "sha256:swapped", generation);
        }
        story.licenses = vec!["designer-a".into()];
        story.grant(300, "ana", "lic-a", "L1");
        story.check(PROMISE, "");
        story.hear(400, "lic-a", true, true);
        story.grant(410, "cy", "lic-a", "L2");
        story.check(PROMISE, "");
        story.grant(450, "dan", "lic-b", "L3");
        story.hear(500, "lic-a", true, true);
        story.grant(510, "eve", "lic-a", "L4");
        story.check(PROMISE, "");
        story.hear(1_000, "lic-a", true, true);
        story.hear(1_500, "lic-a", true, true);
        story.grant(1_600, "bo", "lic-a", "L5");
        story.check(
            PROMISE,
            "1610ms `lic-a` gave a lease from `designer-a`, which is not encoded for its role",
        );
    }

    #[test]
    fn a_server_that_was_cut_off_when_roles_took_effect_keeps_its_own() {
        for (paired, seen) in [(false, false), (true, true)] {
            let mut story = Story::started();
            story.commit(100, "lic-a", "sha256:swapped", 2);
            story.commit(100, "lic-b", "sha256:swapped", 2);
            story.cut(120, "lic-a", "lic-b");
            story.licenses = vec!["designer-a".into()];
            story.grant(200, "ana", "lic-b", "L1");
            story.grant(4_000, "bo", "lic-a", "L2");
            story.check(PROMISE, "");
            story.mend(5_000, "lic-a", "lic-b");
            for at in [5_500, 6_000, 6_500] {
                story.hear(at, "lic-a", true, paired);
            }
            story.grant(7_000, "cy", "lic-a", "L3");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "paired: {paired}");
        }
    }

    #[test]
    fn swapped_roles_are_not_in_effect_while_one_of_the_two_is_down_all_the_time() {
        for (down, seen) in [(true, true), (false, false)] {
            let mut story = Story::started();
            if down {
                story.kill(50, "lic-b");
            }
            story.commit(100, "lic-a", "sha256:swapped", 2);
            story.licenses = vec!["designer-b".into()];
            story.grant(300, "ana", "lic-a", "L1");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{down}");
        }
    }

    #[test]
    fn a_commit_that_failed_may_have_happened() {
        let mut story = Story::started();
        story.fail_commit(100, "lic-b", "sha256:swapped", 2);
        story.licenses = vec!["designer-a".into()];
        story.grant(300, "ana", "lic-b", "L1");
        story.check(PROMISE, "");
    }

    #[test]
    fn a_seat_after_the_license_ended_is_seen() {
        let mut story = Story::started();
        story.grant(900_000, "ana", "lic-a", "L1");
        story.check(PROMISE, "");
        story.grant(1_020_000, "bo", "lic-a", "L2");
        story.check(
            PROMISE,
            "1020010ms `lic-a` gave a seat of `designer`, of which it has no license in date",
        );
    }

    #[test]
    fn a_server_goes_by_its_own_clock_and_not_by_its_peers() {
        let mut story = Story::started();
        story.set_clock(500, "lic-a", -60_000);
        story.grant(1_040_000, "ana", "lic-a", "L1");
        story.check(PROMISE, "");
        story.grant(1_040_000, "bo", "lic-b", "L2");
        story.check(
            PROMISE,
            "1040010ms `lic-b` gave a seat of `designer`, of which it has no license in date",
        );
    }

    #[test]
    fn a_secondary_that_serves_alone_for_longer_than_its_licenses_let_it_is_seen() {
        let mut story = Story::started();
        story.hear(10_000, "lic-b", true, true);
        story.grant(900_000, "ana", "lic-b", "L1");
        story.grant(940_000, "bo", "lic-a", "L2");
        story.check(PROMISE, "");
        story.grant(940_000, "cy", "lic-b", "L3");
        story.check(
            PROMISE,
            "940010ms `lic-b` gave a seat 30000ms after its licenses let it serve alone",
        );
    }

    #[test]
    fn a_primary_whose_disk_is_well_again_is_heard_before_its_first_heartbeat() {
        for (what, seen) in [("well", false), ("full", true)] {
            let mut story = Story::started();
            story.hear(10_000, "lic-b", true, true);
            story.set_disk(939_000, "lic-a", what);
            story.grant(940_000, "ana", "lic-b", "L1");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{what}");
        }
    }

    #[test]
    fn a_primary_with_an_empty_disk_that_takes_nothing_may_be_heard_all_the_time() {
        for (empty, what, seen) in
            [(true, "full", false), (false, "full", true), (true, "well", true)]
        {
            let mut story = Story::started();
            story.hear(10_000, "lic-b", true, true);
            story.crash(11_000, "lic-a");
            story.set_disk(11_000, "lic-a", what);
            story.start(12_000, "lic-a", empty);
            story.kill(13_000, "lic-a");
            story.start(14_000, "lic-a", false);
            story.grant(940_000, "cy", "lic-b", "L1");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{empty} {what}");
            story.kill(941_000, "lic-a");
            story.grant(950_000, "dan", "lic-b", "L2");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{empty} {what}");
        }
    }

    #[test]
    fn a_primary_that_goes_on_or_is_reached_again_has_been_heard() {
        for back in ["goes on", "is reached"] {
            let mut story = Story::started();
            story.hear(10_000, "lic-b", true, true);
            if back == "goes on" {
                story.resume(930_000, "lic-a");
            } else {
                story.mend(930_000, "lic-a", "lic-b");
            }
            story.grant(940_000, "cy", "lic-b", "L3");
            story.check(PROMISE, "");
        }
    }
}
