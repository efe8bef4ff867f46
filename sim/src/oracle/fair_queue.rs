//! `fair-queue`: within one priority seats go to who asked first, across failover.
//!
//! Somebody passed another when they asked first after the other one had been told of a place by a server, were given a
//! seat by that server, and the other one's request was held there meanwhile, having kept the place all the time: for one
//! who is not there a seat is kept, and another free one goes to whoever asks. Of places that one server gave, the other
//! one knows as soon as one of them has read *paired* since. A seat is kept for a holder, whichever of its places asks: who left
//! a place lately and asks anew has asked first when that place began. It compares only two whom the same entries of `assign`
//! match, where no limit is one person's, and claims nothing over a split or where a disk was emptied.

use std::collections::BTreeMap;

use tandem::name::{HostName, UserName};

use crate::history::{Ask, Terms};
use crate::oracle::view::{Exchange, Reply};
use crate::oracle::{Promise, View, Violation};

/// A place is kept for a minute from each request; a little less, for clocks that differ.
const KEPT: u64 = 55_000;
/// No place is left for longer than this: a minute and a little more.
const LEFT: u64 = 65_000;
/// How soon after a fault a server has begun to serve, as a multiple of `aloneAfter`.
const BEGINS_WITHIN: u64 = 2;
/// How long a request and its answer may be on their way, together.
const ON_ITS_WAY: u64 = 4_200;
/// How long a request is held at most.
const HELD: u64 = 30_000;

/// That a holder was given a seat.
struct Had {
    given: u64,
    /// When the use that was given it first asked.
    asked: u64,
}

/// A use that asks for a seat, with all its requests in the order in which they were sent.
struct Asking<'a> {
    product: &'a str,
    user: &'a str,
    host: &'a str,
    requests: Vec<&'a Exchange<'a>>,
}

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut uses: BTreeMap<&str, Asking<'_>> = BTreeMap::new();
    for exchange in &view.exchanges {
        let Ask::Checkout {
            product, user, host, usage: Some(usage), seats: 1, borrow: false, ..
        } = exchange.ask
        else {
            continue;
        };
        let new = || Asking { product, user, host, requests: Vec::new() };
        uses.entry(usage).or_insert_with(new).requests.push(exchange);
    }
    for asking in uses.values_mut() {
        asking.requests.sort_by_key(|exchange| exchange.asked);
    }
    let queued = |asking: &&Asking<'_>| asking.requests.iter().any(|one| one.got(202).is_some());
    let waiting: Vec<&Asking<'_>> = uses.values().filter(queued).collect();
    let mut violations = Vec::new();
    if waiting.is_empty() {
        return violations;
    }
    let mut holders: BTreeMap<_, Vec<Had>> = BTreeMap::new();
    for asking in uses.values() {
        let given = asking.requests.iter().filter_map(|one| one.given());
        // Whoever joins the seat that it has is given none.
        let new = given.filter(|(at, lease)| {
            view.holdings.get(lease.id.as_str()).is_none_or(|holding| holding.since >= *at)
        });
        let had =
            new.filter_map(|(given, _)| Some(Had { given, asked: asking.requests.first()?.asked }));
        holders.entry(asking.holder()).or_default().extend(had);
    }
    let may_wait = |asking: &&Asking<'_>| {
        asking.requests.iter().any(|one| {
            matches!(one.ask, Ask::Checkout { wait_ms: Some(_), .. }) || one.got(202).is_some()
        })
    };
    let places: Vec<&Asking<'_>> = uses.values().filter(may_wait).collect();
    for asking in uses.values() {
        let Some((granted, given)) = asking.granted() else { continue };
        let had = holders.get(&asking.holder()).map_or(&[][..], Vec::as_slice);
        let server = granted.to;
        let Some(first) = asking.first(server, view, &places, had) else { continue };
        violations.extend(asking.passed_elsewhere(granted, first, given, view, &waiting));
        if !asking.is_served_by(server) || view.was_emptied(server, 0, given) {
            continue;
        }
        let passed = waiting.iter().find(|other| {
            other.product == asking.product
                && other.user != asking.user
                && other.is_held(server, first, given)
                && other.waits_through(server, first, given)
                && view.in_force(first, given).iter().all(|terms| alike(terms, asking, other))
        });
        if let Some(other) = passed {
            let what = format!(
                "`{server}` gave {} a seat of `{}` who first asked at {first}ms, while {} waited there before",
                asking.user, asking.product, other.user
            );
            violations.push(Violation::new(Promise::FairQueue, given, what));
        }
    }
    violations
}

impl Asking<'_> {
    /// Whose seat it would be.
    const fn holder(&self) -> (&str, &str, &str) {
        (self.product, self.user, self.host)
    }

    /// When its holder asked a server first: by it, or by another place that it left so lately that its seat is kept. Where it
    /// `had` a seat since, that place stands no further forward than the use stood that was given it.
    fn first(&self, server: &str, view: &View<'_>, places: &[&Self], had: &[Had]) -> Option<u64> {
        let first = self.requests.first()?.asked;
        // A server that begins to serve keeps every place for a minute.
        let longest = view.in_force(first, first).iter().map(|terms| terms.alone_after).max()?;
        let faults = view.faults.iter().map(|(at, _)| *at).filter(|at| *at <= first);
        let begins = faults.chain(view.swapped(first)).map(|at| at + BEGINS_WITHIN * longest);
        let serves = begins.max().unwrap_or(0);
        let of_holder = places.iter().filter(|other| other.holder() == self.holder());
        let left =
            of_holder.filter(|other| other.is_left(server, first, view)).filter_map(|other| {
                let before = other.requests.iter().filter(|one| one.asked <= first);
                // What is sent to a dead server is sent again once it is back.
                let came = before.map(|one| match one.answer {
                    None => one.asked.max(view.started(one.to, first)),
                    Some(_) => one.asked,
                });
                let last = came.max()?.max(serves);
                let began = other.requests.first()?.asked;
                let since = had.iter().filter(|had| began < had.given && had.given < first);
                let stands = since.map(|had| had.asked).chain([began]).max()?;
                (last + HELD + LEFT >= first).then_some(stands)
            });
        left.chain([first]).min()
    }

    /// Whether a server may know its place and nothing of a seat that it got: whatever its holder was told, it got none
    /// there, and none at a server that has told this one since.
    fn is_left(&self, server: &str, until: u64, view: &View<'_>) -> bool {
        let mut given = self.requests.iter().filter_map(|one| Some((one.to, one.given()?.0)));
        given.all(|(of, at)| of != server && !view.was_paired(at, until))
    }

    /// The request by which it got a new seat, and when that arrived.
    fn granted(&self) -> Option<(&Exchange<'_>, u64)> {
        let granted = self.requests.iter().find(|one| one.got(201).is_some())?;
        Some((granted, granted.given()?.0))
    }

    /// Whether no other server ever did more than to send it away.
    fn is_served_by(&self, server: &str) -> bool {
        let mut others = self.requests.iter().filter(|one| one.to != server);
        others.all(|one| one.got(503).is_some())
    }

    /// Whom it passed at a server that knows both their places from its peer.
    fn passed_elsewhere(
        &self,
        granted: &Exchange<'_>,
        first: u64,
        given: u64,
        view: &View<'_>,
        waiting: &[&Self],
    ) -> Option<Violation> {
        let passed = waiting.iter().find(|other| {
            other.product == self.product
                && other.user != self.user
                && other.stands_before(self, first, view, granted, given)
                && view.in_force(first, given).iter().all(|terms| alike(terms, self, other))
        })?;
        let (server, user, product, before) = (granted.to, self.user, self.product, passed.user);
        let what = format!(
            "`{server}` gave {user} a seat of `{product}` who first asked at {first}ms, while {before} waited before, \
             as its peer knew"
        );
        Some(Violation::new(Promise::FairQueue, given, what))
    }

    /// Whether it was told of a place by one server before somebody else asked for the first time, which the other one
    /// must know from its peer; has kept it since, and was held at the other one when that gave a seat.
    fn stands_before(
        &self,
        later: &Self,
        first: u64,
        view: &View<'_>,
        granted: &Exchange<'_>,
        given: u64,
    ) -> bool {
        let told = self.requests.iter().find_map(|one| Some((*one, one.got(202)?.at)));
        let Some((place, told)) = told else { return false };
        let both = [place.to, granted.to];
        let emptied = both.into_iter().any(|of| view.was_emptied(of, 0, given));
        if place.to == granted.to || told >= first || emptied || view.was_split(both, told, given) {
            return false;
        }
        let mut heard = both.into_iter().flat_map(|of| view.heard_between(of, told + 1, given));
        let Some((known, _, _)) = heard.find(|(_, active, paired)| *active && *paired) else {
            return false;
        };
        // The later one may have got a place there before.
        let mut asked = later.requests.iter().filter(|one| one.asked < granted.asked);
        let is_sure = asked.all(|one| match &one.answer {
            Some(reply) if reply.status == 202 => one.to == place.to || *known < one.asked,
            Some(reply) => reply.status == 503,
            None => one.to == place.to || !view.is_up(one.to, one.asked),
        });
        is_sure && self.is_held_since(place, granted.to, given, view)
    }

    /// Whether it kept the place that it got by a request, and was held at this server at that time.
    fn is_held_since(&self, place: &Exchange<'_>, server: &str, at: u64, view: &View<'_>) -> bool {
        let mut kept_from = place.asked;
        for one in self.requests.iter().filter(|one| one.asked > place.asked) {
            match &one.answer {
                // Had it got a seat by it, it would be told of no place later.
                None => {}
                Some(reply) if reply.status == 503 => {}
                Some(reply) if reply.status == 202 && one.asked <= kept_from + KEPT => {
                    kept_from = one.asked;
                    // What is sent to a dead server is sent again once it is back.
                    let sent = one.asked.max(view.started(server, at));
                    if one.to == server
                        && sent + ON_ITS_WAY < at
                        && self.holds(one, reply, sent, at)
                    {
                        return true;
                    }
                }
                _ => return false,
            }
        }
        false
    }

    /// Whether a request of its was held at this server all the time.
    fn is_held(&self, server: &str, from: u64, until: u64) -> bool {
        self.requests.iter().any(|one| {
            one.to == server
                && one.asked < from
                && one.got(202).is_some_and(|reply| self.holds(one, reply, one.asked, until))
        })
    }

    /// Whether a request that was sent at some time, and got this answer, was still held at another: not for longer than
    /// it asked to be by a clock that may be fast, nor after the same asked there again. Where the answer was on its way
    /// for long, nobody knows.
    fn holds(&self, one: &Exchange<'_>, reply: &Reply<'_>, sent: u64, at: u64) -> bool {
        let Ask::Checkout { wait_ms, .. } = one.ask else { return false };
        let held = wait_ms.map_or(HELD, |wait| wait.min(HELD));
        let again = |later: &&&Exchange<'_>| later.to == one.to && later.asked > one.asked;
        let again = self.requests.iter().find(again).is_some_and(|later| later.asked < at);
        !again
            && at < reply.at.min(sent + held - held / 50)
            && reply.at <= sent + ON_ITS_WAY + held + held / 50
    }

    /// Whether it had a place at this server before `from`, still had it after `until`, and kept it in between.
    fn waits_through(&self, server: &str, from: u64, until: u64) -> bool {
        let mut kept_from: Option<u64> = None;
        for one in &self.requests {
            match &one.answer {
                Some(reply) if reply.status == 202 && one.to == server => {
                    let is_kept = kept_from.is_some_and(|asked| one.asked <= asked + KEPT);
                    if is_kept && reply.at > until {
                        return true;
                    }
                    if reply.at <= from || is_kept {
                        kept_from = Some(one.asked);
                    } else if kept_from.is_some() {
                        return false;
                    }
                }
                Some(reply) if reply.status == 503 => {}
                // Unknown, or something else: whether it has its place any more cannot be told.
                _ if kept_from.is_some() => return false,
                _ => {}
            }
        }
        false
    }
}

/// Whether the rules say the same of both: then nothing but their arrivals tells them apart.
fn alike(terms: &Terms, one: &Asking<'_>, other: &Asking<'_>) -> bool {
    let rights = terms.rights.iter().find(|of| of.product.eq_ignore_ascii_case(one.product));
    let Some(rights) = rights.filter(|rights| !rights.has_personal_limits) else { return false };
    let matching = |asking: &Asking<'_>| {
        let (user, host) = (UserName::new(asking.user).ok()?, HostName::new(asking.host).ok()?);
        rights.matching(&user, &host).filter(|_| rights.allow(&user, &host))
    };
    matches!((matching(one), matching(other)), (Some(one), Some(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::FairQueue;

    #[test]
    fn a_newcomer_who_is_served_before_one_who_waits_is_seen() {
        let mut story = Story::started();
        story.queue(100, "guest1", "lic-a", "u1");
        story.give_use(1_000, "guest2", "lic-a", "u2", "L2");
        story.check(PROMISE, "");
        story.hold(500, 1_500, "guest1", "lic-a", "u1");
        story.check(
            PROMISE,
            "1010ms `lic-a` gave guest2 a seat of `designer` who first asked at 1000ms, while guest1 waited there before",
        );
    }

    #[test]
    fn an_answer_that_was_on_its_way_for_long_says_not_until_when_it_was_held() {
        for (until, seen) in [(34_000, true), (36_000, false)] {
            let mut story = Story::started();
            story.queue(100, "guest1", "lic-a", "u1");
            story.hold(500, until, "guest1", "lic-a", "u1");
            story.give_use(20_000, "guest2", "lic-a", "u2", "L2");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{until}");
        }
    }

    #[test]
    fn a_request_is_held_no_longer_than_it_asked_to_be() {
        for (given, seen) in [(10_000, true), (16_000, false)] {
            let mut story = Story::started();
            story.queue(100, "guest1", "lic-a", "u1");
            story.hold_for(500, (14_000, 18_000), "guest1", "lic-a", "u1");
            story.give_use(given, "guest2", "lic-a", "u2", "L2");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{given}");
        }
    }

    #[test]
    fn a_request_is_not_held_once_the_same_asked_again() {
        for (again, seen) in [(25_000, true), (15_000, false)] {
            let mut story = Story::started();
            story.queue(100, "guest1", "lic-a", "u1");
            story.hold(500, 30_000, "guest1", "lic-a", "u1");
            story.hold_for(again, (1_000, 30_000), "guest1", "lic-a", "u1");
            story.give_use(20_000, "guest2", "lic-a", "u2", "L2");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{again}");
        }
    }

    #[test]
    fn a_place_that_was_served_elsewhere_stands_until_its_server_hears_of_it() {
        for (paired, seen) in [(None, false), (Some(6_000), true)] {
            let mut story = Story::started();
            story.queue(100, "guest2", "lic-a", "u1");
            story.queue(1_000, "guest1", "lic-a", "u2");
            story.give_use(5_000, "guest2", "lic-b", "u1", "L1");
            if let Some(at) = paired {
                story.hear(at, "lic-b", true, true);
            }
            story.hold(10_000, 30_000, "guest1", "lic-a", "u2");
            story.give_use(20_000, "guest2", "lic-a", "u3", "L2");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{paired:?}");
        }
    }

    #[test]
    fn a_place_at_the_other_server_counts_once_the_two_are_paired() {
        for (paired, first_at, seen) in
            [(Some(9_000), "lic-b", true), (None, "lic-b", false), (Some(9_000), "lic-a", false)]
        {
            let mut story = Story::started();
            story.queue(100, "guest1", "lic-b", "u1");
            story.queue(1_000, "guest2", first_at, "u2");
            if let Some(at) = paired {
                story.hear(at, "lic-b", true, true);
            }
            story.hold(10_000, 30_000, "guest1", "lic-a", "u1");
            story.give_use(20_000, "guest2", "lic-a", "u2", "L2");
            let judged = story.judged(PROMISE);
            assert_eq!(judged.contains("as its peer knew"), seen, "{judged}");
        }
    }

    #[test]
    fn who_asked_first_or_asked_elsewhere_passes_nobody() {
        let mut story = Story::started();
        // guest2 has asked before guest1 was told of its place.
        story.queue(90, "guest2", "lic-a", "u2");
        story.queue(95, "guest1", "lic-a", "u1");
        story.give_use(1_000, "guest2", "lic-a", "u2", "L2");
        // guest3 had a place at the other server.
        story.queue(1_100, "guest3", "lic-b", "u3");
        story.give_use(1_200, "guest3", "lic-a", "u3", "L3");
        story.hold(500, 1_500, "guest1", "lic-a", "u1");
        story.check(PROMISE, "");
    }

    #[test]
    fn a_seat_that_is_kept_for_a_holder_is_taken_by_its_next_use() {
        for (left_at, has_had, asks_anew, bundle, seen) in [
            (50, false, 1_000, "sha256:two", false),
            (50, false, 97_000, "sha256:two", true),
            // Who begins to serve keeps every place anew.
            (50, false, 97_000, "sha256:swapped", false),
            (50, true, 1_000, "sha256:two", true),
            (300, false, 1_000, "sha256:two", true),
        ] {
            let mut story = Story::started();
            for server in ["lic-a", "lic-b"] {
                story.commit(10, server, bundle, 2);
            }
            // guest2 leaves a place, before or after guest1 comes.
            story.queue(left_at, "guest2", "lic-a", "u0");
            story.queue(100, "guest1", "lic-a", "u1");
            story.hold(150, 30_150, "guest1", "lic-a", "u1");
            if has_had {
                story.give_use(160, "guest2", "lic-a", "u3", "L1");
                story.release(165, "guest2", "lic-a", "L1");
            }
            for asked in [31_000, 62_000, 93_000] {
                story.hold(asked, asked + 30_000, "guest1", "lic-a", "u1");
            }
            story.give_use(asks_anew, "guest2", "lic-a", "u2", "L2");
            let judged = story.judged(PROMISE);
            assert_eq!(!judged.is_empty(), seen, "{left_at} {has_had} {asks_anew} {bundle}");
        }
    }

    #[test]
    fn a_place_that_was_not_kept_or_may_have_been_served_is_not_passed() {
        let mut story = Story::started();
        story.queue(100, "guest1", "lic-a", "u1");
        story.give_use(70_000, "guest2", "lic-a", "u2", "L2");
        story.queue(80_000, "guest1", "lic-a", "u1");
        story.check(PROMISE, "");
        let mut story = Story::started();
        story.queue(100, "guest1", "lic-a", "u1");
        story.lose_use(400, "guest1", "lic-a", "u1");
        story.give_use(1_000, "guest2", "lic-a", "u2", "L2");
        story.hold(500, 1_500, "guest1", "lic-a", "u1");
        story.check(PROMISE, "");
    }
}
