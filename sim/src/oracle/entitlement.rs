//! `entitlement`: nobody holds, beyond one renewal, a seat that no assignment of the active bundle gives them; a
//! borrowed lease stays until its own end, at a server that has not lost its disk since and heard nothing of its peer.
//!
//! A violation is a seat that is given, or renewed, under bundles none of which gives it. It reads the manifest's
//! assignments by itself and knows no addresses: whom an assignment for addresses may mean is left alone. How many
//! seats an assignment has room for is not judged here.

use std::collections::BTreeMap;

use tandem::name::{HostName, UserName};

use crate::history::{Ask, Terms};
use crate::oracle::{Promise, View, Violation};

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for exchange in &view.exchanges {
        let Ask::Renew { lease, .. } = exchange.ask else { continue };
        let Some(reply) = exchange.got(409).or(exchange.got(403)) else { continue };
        let held = view.holdings.get(lease.as_str()).filter(|held| held.is_live(reply.at));
        let borrowed = held.and_then(|held| held.borrowed).filter(|since| *since < exchange.asked);
        if borrowed.is_some_and(|since| !view.has_forgotten(exchange.to, since, exchange.asked)) {
            let (server, code) = (exchange.to, reply.code.unwrap_or("no code"));
            let what =
                format!("`{server}` took the borrowed lease {lease} before its end ({code})");
            violations.push(Violation::new(Promise::Entitlement, reply.at, what));
        }
    }
    let mut holders: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for exchange in &view.exchanges {
        let Some((at, lease)) = exchange.given() else { continue };
        let (user, host) = match exchange.ask {
            // What is borrowed stays until its own end.
            _ if lease.borrowed && exchange.got(201).is_none() => continue,
            Ask::Checkout { user, host, .. } => {
                *holders.entry(&lease.id).or_insert((user.as_str(), host.as_str()))
            }
            Ask::Renew { .. } => match holders.get(lease.id.as_str()) {
                Some(holder) => *holder,
                None => continue,
            },
            _ => continue,
        };
        let (Ok(login), Ok(computer)) = (UserName::new(user), HostName::new(host)) else {
            continue;
        };
        let terms = view.in_force(exchange.asked, at);
        let gives = |terms: &&Terms| {
            let mut rights = terms.rights.iter();
            let of = rights.find(|rights| rights.product.eq_ignore_ascii_case(&lease.product));
            // A history without rights is one of servers, which do not tell them.
            terms.rights.is_empty() || of.is_some_and(|rights| rights.allow(&login, &computer))
        };
        if terms.is_empty() || terms.iter().any(gives) {
            continue;
        }
        let (server, product) = (exchange.to, &lease.product);
        violations.push(Violation::new(
            Promise::Entitlement,
            at,
            format!("`{server}` gave {user}@{host} a seat of `{product}` that no assignment gives"),
        ));
    }
    violations
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::Entitlement;

    #[test]
    fn a_borrowed_lease_that_is_taken_before_its_end_is_seen() {
        let mut story = Story::started();
        story.borrow(100, "ana", "lic-a", "L1");
        story.grant(200, "bo", "lic-a", "L2");
        story.renew(300, "bo", "lic-a", "L2", 409);
        story.check(PROMISE, "");
        story.renew(400, "ana", "lic-a", "L1", 409);
        story.check(PROMISE, "410ms `lic-a` took the borrowed lease L1 before its end (revoked)");
    }

    #[test]
    fn a_server_that_lost_its_disk_knows_of_no_borrowed_lease_before_it_is_paired() {
        for (paired, seen) in [(false, false), (true, true)] {
            let mut story = Story::started();
            story.borrow(100, "ana", "lic-a", "L1");
            story.kill(200, "lic-a");
            story.start(300, "lic-a", true);
            if paired {
                story.hear(350, "lic-b", true, true);
            }
            story.renew(400, "ana", "lic-a", "L1", 409);
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{paired}");
        }
    }

    #[test]
    fn a_seat_that_a_bundle_gives_is_well_and_one_that_none_gives_is_seen() {
        let mut story = Story::started();
        story.grant(100, "ana", "lic-a", "L1");
        story.grant(200, "mallory", "lic-a", "L2");
        story.check(
            PROMISE,
            "210ms `lic-a` gave mallory@ws a seat of `designer` that no assignment gives",
        );
    }

    #[test]
    fn a_server_that_lost_its_disk_gives_by_the_bundle_that_its_peer_has() {
        for lost in [false, true] {
            let mut story = Story::started();
            story.grant(100, "leaver", "lic-a", "L1");
            story.commit(1_000, "lic-a", "sha256:two", 2);
            story.kill(1_100, "lic-a");
            story.start(1_200, "lic-a", lost);
            story.commit(2_000, "lic-b", "sha256:two", 2);
            story.renew(3_000, "leaver", "lic-a", "L1", 200);
            assert_eq!(story.judged(PROMISE).is_empty(), lost);
        }
    }

    #[test]
    fn one_renewal_after_the_bundle_that_ended_a_seat_is_refused() {
        let mut story = Story::started();
        story.grant(100, "leaver", "lic-a", "L1");
        story.commit(1_000, "lic-a", "sha256:two", 2);
        story.renew(1_005, "leaver", "lic-a", "L1", 200);
        story.commit(2_000, "lic-b", "sha256:two", 2);
        story.renew(3_000, "leaver", "lic-a", "L1", 409);
        story.check(PROMISE, "");
        story.renew(4_000, "leaver", "lic-b", "L1", 200);
        story.check(
            PROMISE,
            "4010ms `lic-b` gave leaver@ws a seat of `designer` that no assignment gives",
        );
    }
}
