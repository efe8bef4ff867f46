//! Made-up histories, for the oracles' own tests: two servers with two seats each, and whatever is told of them.

use std::sync::Arc;

use tandem::manifest::types::{Mode, Role};
use tandem::name::UserPattern;

use crate::history::{
    Answered, Ask, Entry, Event, Fault, Lease, License, Limits, Rights, ServerTerms, Terms, Whom,
};
use crate::oracle::{Promise, View};

/// How long an answer takes.
const TRIP: u64 = 10;

const TTL: u64 = 300_000;

/// How long a secondary may serve alone.
const STANDALONE: u64 = 900_000;

/// When the licenses end.
const LICENSED_UNTIL: i64 = 1_000_000;

pub(crate) struct Story {
    entries: Vec<Entry>,
    requests: u64,
    /// The licenses that the next leases' tokens name.
    pub(crate) licenses: Vec<String>,
}

impl Story {
    pub(crate) fn started() -> Self {
        Self::started_as(false)
    }

    /// On a real machine, where things are as late as this.
    pub(crate) fn with_late(mut self, late: u64) -> Self {
        for entry in &mut self.entries {
            if let Event::Terms(terms) = &mut entry.event {
                Arc::make_mut(terms).late = late;
            }
        }
        self
    }

    pub(crate) fn started_as(escrow: bool) -> Self {
        let mut story = Self { entries: Vec::new(), requests: 0, licenses: Vec::new() };
        for bundle in [
            "sha256:one",
            "sha256:two",
            "sha256:three-seats",
            "sha256:swapped",
            "sha256:trusts-added",
            "sha256:by-added",
            "sha256:by-other",
        ] {
            let mode = if escrow { Mode::Escrow } else { Mode::Mirror };
            story.note(0, "world", Event::Terms(Arc::new(terms(bundle, mode))));
        }
        story.commit(0, "lic-a", "sha256:one", 1);
        story.commit(0, "lic-b", "sha256:one", 1);
        story
    }

    fn note(&mut self, at: u64, host: &str, event: Event) {
        self.entries.push(Entry { at, host: host.into(), event });
    }

    pub(crate) fn ask(&mut self, at: u64, client: &str, to: &str, ask: Ask) -> u64 {
        self.requests += 1;
        let request = self.requests;
        self.note(at, client, Event::Asked { request, to: to.into(), ask: Box::new(ask) });
        request
    }

    fn answer(&mut self, at: u64, client: &str, request: u64, status: u16, code: Option<&str>) {
        self.give(at, client, request, status, code, None);
    }

    fn give(
        &mut self,
        at: u64,
        client: &str,
        request: u64,
        status: u16,
        code: Option<&str>,
        lease: Option<Lease>,
    ) {
        let (code, lease) = (code.map(str::to_owned), lease.map(Box::new));
        let answered = Answered { request, status, code, lease, server: None };
        self.note(at, client, Event::Answered(answered));
    }

    fn lease(&self, id: &str, server: &str) -> Lease {
        Lease {
            id: id.into(),
            usage: "u".into(),
            product: "designer".into(),
            seats: 1,
            server: server.into(),
            epoch: 1,
            ttl_ms: TTL,
            licenses: self.licenses.clone(),
            borrowed: false,
        }
    }

    fn checkout(user: &str) -> Ask {
        let (product, user) = ("designer".into(), user.into());
        let (host, usage, wait_ms) = ("ws".into(), None, None);
        Ask::Checkout { product, user, host, usage, seats: 1, wait_ms, borrow: false }
    }

    pub(crate) fn grant(&mut self, at: u64, user: &str, server: &str, id: &str) {
        self.grant_late(at, at + TRIP, user, server, id);
    }

    pub(crate) fn grant_late(
        &mut self,
        at: u64,
        answered: u64,
        user: &str,
        server: &str,
        id: &str,
    ) {
        let request = self.ask(at, user, server, Self::checkout(user));
        self.give(answered, user, request, 201, None, Some(self.lease(id, server)));
    }

    pub(crate) fn lose_grant(&mut self, at: u64, user: &str, server: &str) {
        let request = self.ask(at, user, server, Self::checkout(user));
        self.note(at + TRIP, user, Event::Lost { request });
    }

    pub(crate) fn refuse(&mut self, at: u64, user: &str, server: &str, status: u16, code: &str) {
        let request = self.ask(at, user, server, Self::checkout(user));
        self.answer(at + TRIP, user, request, status, Some(code));
    }

    fn checkout_of(user: &str, usage: &str) -> Ask {
        let (product, user) = ("designer".into(), user.into());
        Ask::Checkout {
            product,
            user,
            host: "ws".into(),
            usage: Some(usage.into()),
            seats: 1,
            wait_ms: None,
            borrow: false,
        }
    }

    pub(crate) fn queue(&mut self, at: u64, user: &str, server: &str, usage: &str) {
        self.hold(at, at + TRIP, user, server, usage);
    }

    /// A request that is held, and answered with a place at its end.
    pub(crate) fn hold(&mut self, at: u64, until: u64, user: &str, server: &str, usage: &str) {
        let request = self.ask(at, user, server, Self::checkout_of(user, usage));
        self.answer(until, user, request, 202, None);
    }

    /// The same of a request that says for how long it is to be held.
    pub(crate) fn hold_for(
        &mut self,
        at: u64,
        (wait, until): (u64, u64),
        user: &str,
        server: &str,
        usage: &str,
    ) {
        let mut ask = Self::checkout_of(user, usage);
        if let Ask::Checkout { wait_ms, .. } = &mut ask {
            *wait_ms = Some(wait);
        }
        let request = self.ask(at, user, server, ask);
        self.answer(until, user, request, 202, None);
    }

    pub(crate) fn lose_use(&mut self, at: u64, user: &str, server: &str, usage: &str) {
        let request = self.ask(at, user, server, Self::checkout_of(user, usage));
        self.note(at + TRIP, user, Event::Lost { request });
    }

    pub(crate) fn give_use(&mut self, at: u64, user: &str, server: &str, usage: &str, id: &str) {
        let request = self.ask(at, user, server, Self::checkout_of(user, usage));
        let lease = Lease { usage: usage.into(), ..self.lease(id, server) };
        self.give(at + TRIP, user, request, 201, None, Some(lease));
    }

    pub(crate) fn borrow(&mut self, at: u64, user: &str, server: &str, id: &str) {
        let request = self.ask(at, user, server, Self::checkout(user));
        let lease = Lease { borrowed: true, ..self.lease(id, server) };
        self.give(at + TRIP, user, request, 201, None, Some(lease));
    }

    /// A renewal that is never answered.
    pub(crate) fn lose_renewal(&mut self, at: u64, user: &str, server: &str, id: &str) {
        let request = self.ask(at, user, server, Ask::Renew { lease: id.into(), usage: None });
        self.note(at + TRIP, user, Event::Lost { request });
    }

    /// A renewal of a borrowed lease, which does not move its end.
    pub(crate) fn renew_borrowed(
        &mut self,
        at: u64,
        user: &str,
        server: &str,
        id: &str,
        ttl_ms: u64,
    ) {
        let request = self.ask(at, user, server, Ask::Renew { lease: id.into(), usage: None });
        let lease = Lease { borrowed: true, ttl_ms, ..self.lease(id, server) };
        self.give(at + TRIP, user, request, 200, None, Some(lease));
    }

    pub(crate) fn renew(&mut self, at: u64, user: &str, server: &str, id: &str, status: u16) {
        let request = self.ask(at, user, server, Ask::Renew { lease: id.into(), usage: None });
        let lease = (status == 200).then(|| self.lease(id, server));
        let code = match status {
            404 => Some("unknown-lease"),
            409 => Some("revoked"),
            503 => Some("standby"),
            _ => None,
        };
        self.give(at + TRIP, user, request, status, code, lease);
    }

    /// A renewal that ends in a refusal.
    pub(crate) fn turn_away(&mut self, at: u64, user: &str, server: &str, id: &str, code: &str) {
        let request = self.ask(at, user, server, Ask::Renew { lease: id.into(), usage: None });
        self.answer(at + TRIP, user, request, 409, Some(code));
    }

    pub(crate) fn release(&mut self, at: u64, user: &str, server: &str, id: &str) {
        let request = self.ask(at, user, server, Ask::Release { lease: id.into(), usage: None });
        self.answer(at + TRIP, user, request, 204, None);
    }

    pub(crate) fn forgery(&mut self, bundle: &str, reason: &str) {
        let mut terms = terms(bundle, Mode::Mirror);
        terms.refused_for = Some(reason.into());
        self.note(0, "world", Event::Terms(Arc::new(terms)));
    }

    pub(crate) fn stage(&mut self, at: u64, server: &str, bundle: &str, status: u16) {
        let request = self.ask(at, "reconciler", server, Ask::Stage { bundle: bundle.into() });
        self.answer(at + TRIP, "reconciler", request, status, None);
    }

    pub(crate) fn commit(&mut self, at: u64, server: &str, bundle: &str, generation: u64) {
        self.commit_as(at, server, bundle, generation, (200, None));
    }

    /// A commit that ends in a failure.
    pub(crate) fn fail_commit(&mut self, at: u64, server: &str, bundle: &str, generation: u64) {
        self.commit_as(at, server, bundle, generation, (503, Some("recovering")));
    }

    fn commit_as(
        &mut self,
        at: u64,
        server: &str,
        bundle: &str,
        generation: u64,
        (status, code): (u16, Option<&str>),
    ) {
        let ask = Ask::Commit { bundle: bundle.into(), generation };
        let request = self.ask(at, "reconciler", server, ask);
        self.answer(at + TRIP, "reconciler", request, status, code);
    }

    pub(crate) fn hear(&mut self, at: u64, server: &str, active: bool, paired: bool) {
        let from = if server == "lic-a" { "lic-b" } else { "lic-a" };
        self.note(at, server, Event::Heard { from: from.into(), active, paired });
    }

    fn fault(&mut self, at: u64, fault: Fault) {
        self.note(at, "world", Event::Fault(fault));
    }

    pub(crate) fn crash(&mut self, at: u64, server: &str) {
        self.fault(at, Fault::Crash { server: server.into() });
    }

    pub(crate) fn kill(&mut self, at: u64, server: &str) {
        self.fault(at, Fault::Kill { server: server.into() });
    }

    pub(crate) fn start(&mut self, at: u64, server: &str, empty: bool) {
        self.fault(at, Fault::Start { server: server.into(), empty });
    }

    pub(crate) fn set_disk(&mut self, at: u64, server: &str, what: &str) {
        self.fault(at, Fault::Disk { server: server.into(), what: what.into() });
    }

    pub(crate) fn fence(&mut self, at: u64, server: &str) {
        self.fault(at, Fault::Fence { server: server.into() });
    }

    pub(crate) fn set_clock(&mut self, at: u64, server: &str, ms: i64) {
        self.fault(at, Fault::Clock { server: server.into(), ms });
    }

    pub(crate) fn resume(&mut self, at: u64, server: &str) {
        self.fault(at, Fault::Resume { server: server.into() });
    }

    pub(crate) fn cut(&mut self, at: u64, a: &str, b: &str) {
        self.fault(at, Fault::Cut { from: a.into(), to: b.into() });
        self.fault(at, Fault::Cut { from: b.into(), to: a.into() });
    }

    pub(crate) fn mend(&mut self, at: u64, a: &str, b: &str) {
        self.fault(at, Fault::Heal { from: a.into(), to: b.into() });
        self.fault(at, Fault::Heal { from: b.into(), to: a.into() });
    }

    pub(crate) fn on_disk(&mut self, at: u64, server: &str, leases: &[&str]) {
        let leases = leases.iter().map(|&id| id.to_owned()).collect();
        let bundle = Some("sha256:one".to_owned());
        self.note(
            at,
            "world",
            Event::OnDisk { server: server.into(), generation: 1, bundle, leases },
        );
    }

    pub(crate) fn bundle_on_disk(&mut self, at: u64, server: &str, bundle: &str, generation: u64) {
        let bundle = Some(bundle.to_owned());
        let leases = Vec::new();
        self.note(at, "world", Event::OnDisk { server: server.into(), generation, bundle, leases });
    }

    /// What can be seen of this story.
    pub(crate) fn seen<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        let mut entries = self.entries.clone();
        entries.sort_by_key(|entry| entry.at);
        look(&View::of(&entries))
    }

    /// What the oracle of a promise says of this story.
    pub(crate) fn judged(&self, promise: Promise) -> String {
        let violations = self.seen(|view| promise.judge_view(view));
        assert!(violations.iter().all(|violation| violation.promise == promise));
        let lines = violations.iter().map(|one| format!("{}ms {}", one.at, one.what));
        lines.collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn check(&self, promise: Promise, expected: &str) {
        assert_eq!(self.judged(promise), expected);
    }
}

fn terms(bundle: &str, mode: Mode) -> Terms {
    let seats = if bundle == "sha256:three-seats" { 3 } else { 2 };
    let server = |role, id: &str| ServerTerms {
        role,
        licenses: vec![License {
            id: id.into(),
            product: "designer".into(),
            seats,
            from: -1,
            until: Some(LICENSED_UNTIL),
            standalone: Some(STANDALONE),
        }],
    };
    let roles = [server(Role::Primary, "designer-a"), server(Role::Secondary, "designer-b")];
    let [a, b] = match (bundle, roles) {
        ("sha256:swapped", [primary, secondary]) => [secondary, primary],
        (_, roles) => roles,
    };
    let (signer, also) = match bundle {
        "sha256:trusts-added" => ("operator", Some("added")),
        "sha256:by-added" => ("added", Some("added")),
        "sha256:by-other" => ("other", Some("other")),
        _ => ("operator", None),
    };
    let operators = std::iter::once("operator").chain(also);
    let ends = bundle == "sha256:two";
    let user = |name: &str| Whom::User(UserPattern::new(name).expect("a pattern"));
    let mut deny = vec![user("mallory")];
    deny.extend(ends.then(|| user("leaver")));
    Terms {
        bundle: bundle.into(),
        rights: vec![Rights {
            product: "designer".into(),
            assign: vec![Whom::Everyone],
            deny,
            has_personal_limits: false,
            limits: Some(Limits { reserved: 0, max: None }),
        }],
        refused_for: None,
        signer: Some(signer.to_owned()),
        operators: operators.map(str::to_owned).collect(),
        mode,
        revokes: true,
        ttl: TTL,
        failover_after: 3_000,
        heartbeat: 500,
        alone_after: 6_180,
        late: 0,
        servers: [("lic-a".into(), a), ("lic-b".into(), b)].into(),
    }
}
