//! What the servers' own event logs say, as a history that the oracles read.
//!
//! It errs towards *kept*: where a log cannot tell (a renewal whose answer was lost, a cut that both lived through) it
//! says what excuses most. A process that starts without having said `stopped` was killed after its last event. What one
//! server gave may have been given back at a peer whose log is not there, whenever it was not active.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use tandem::api::EventBody;
use tandem::manifest::types::{Mode, Role};
use tandem::measure::Timestamp;

use crate::history::{Answered, Ask, Entry, Event, Fault, Lease, License, ServerTerms, Terms};

/// What every bundle in the logs means, as far as the servers said.
pub(super) fn terms(told: &[EventBody], begin: Timestamp) -> Vec<Entry> {
    let mut bundles: BTreeMap<&str, Terms> = BTreeMap::new();
    for event in told {
        let Some(bundle) = word(event, "bundle") else { continue };
        let (Some(role), Some(licenses)) = (role(event), event.details.get("licenses")) else {
            continue;
        };
        let known = bundles.entry(bundle).or_insert_with(|| Terms {
            bundle: bundle.to_owned(),
            refused_for: None,
            signer: None,
            operators: Vec::new(),
            revokes: false,
            ttl: 0,
            mode: if word(event, "mode") == Some("escrow") { Mode::Escrow } else { Mode::Mirror },
            failover_after: number(event, "failoverAfterMs"),
            heartbeat: number(event, "heartbeatMs"),
            alone_after: number(event, "aloneAfterMs"),
            late: 0,
            servers: BTreeMap::new(),
            rights: Vec::new(),
        });
        let licenses = licenses.as_array().map(Vec::as_slice).unwrap_or_default();
        let licenses = licenses.iter().filter_map(|one| license(one, begin)).collect();
        known.servers.insert(event.server.to_string(), ServerTerms { role, licenses });
        if let Some(peer) = word(event, "peer") {
            let unknown = ServerTerms { role: role.other(), licenses: Vec::new() };
            known.servers.entry(peer.to_owned()).or_insert(unknown);
        }
    }
    let event = |terms| Event::Terms(Arc::new(terms));
    let world = |terms| Entry { at: 0, host: "world".into(), event: event(terms) };
    bundles.into_values().map(world).collect()
}

fn license(told: &Value, begin: Timestamp) -> Option<License> {
    let ms = |time: &Value| -> Option<i64> {
        let time: Timestamp = time.as_str()?.parse().ok()?;
        Some(time.ms().saturating_sub(begin.ms()))
    };
    Some(License {
        standalone: None,
        id: told["id"].as_str()?.to_owned(),
        product: told["product"].as_str()?.to_owned(),
        seats: u32::try_from(told["seats"].as_u64()?).ok()?,
        from: ms(&told["notBefore"])?,
        until: ms(&told["expires"]),
    })
}

fn word<'a>(event: &'a EventBody, field: &str) -> Option<&'a str> {
    event.details.get(field).and_then(Value::as_str)
}

fn number(event: &EventBody, field: &str) -> u64 {
    event.details.get(field).and_then(Value::as_u64).unwrap_or_default()
}

fn role(event: &EventBody) -> Option<Role> {
    match word(event, "role")? {
        "primary" => Some(Role::Primary),
        "secondary" => Some(Role::Secondary),
        _ => None,
    }
}

/// What one server was last known to be.
#[derive(Debug, Default)]
struct Known {
    runs: bool,
    is_active: bool,
    bundle: Option<(u64, String)>,
}

/// The history that the logs tell.
///
/// `peer_is_silent` says that the log of one of the two is missing.
pub(super) fn history(told: &[EventBody], begin: Timestamp, peer_is_silent: bool) -> Vec<Entry> {
    let mut told: Vec<&EventBody> = told.iter().collect();
    // Each log is in order; of two that speak at once the order is not known.
    told.sort_by_key(|event| event.at);
    let mut history = History { begin, peer_is_silent, ..History::default() };
    for (place, event) in told.iter().enumerate() {
        history.take(event, told.get(..place).unwrap_or_default());
    }
    // A death is told by the start after it, and is put where it happened.
    history.entries.sort_by_key(|entry| entry.at);
    history.entries
}

#[derive(Default)]
struct History {
    begin: Timestamp,
    entries: Vec<Entry>,
    requests: u64,
    servers: BTreeMap<String, Known>,
    is_split: bool,
    /// Whether the log of one of the two is missing.
    peer_is_silent: bool,
    /// The leases that were given, and not given back as far as is known.
    held: BTreeSet<String>,
}

impl History {
    fn at(&self, event: &EventBody) -> u64 {
        u64::try_from(event.at.ms().saturating_sub(self.begin.ms())).unwrap_or(0)
    }

    fn note(&mut self, at: u64, host: &str, event: Event) {
        self.entries.push(Entry { at, host: host.into(), event });
    }

    fn fault(&mut self, at: u64, fault: Fault) {
        self.note(at, "world", Event::Fault(fault));
    }

    fn take(&mut self, event: &EventBody, before: &[&EventBody]) {
        let (at, server) = (self.at(event), event.server.to_string());
        match event.kind.as_str() {
            "started" => self.started(at, &server, before),
            "stopped" => {
                self.servers.entry(server.clone()).or_default().runs = false;
                self.fault(at, Fault::Stop { server: server.clone() });
            }
            "state" => {
                let is_active = word(event, "state") == Some("active");
                let known = self.servers.entry(server.clone()).or_default();
                let began = is_active && !known.is_active;
                (known.runs, known.is_active) = (true, is_active);
                if began && self.peer_is_silent {
                    self.may_be_given_back(at, &server);
                }
                self.look_for_split(at);
                let paired = event.details.get("paired").and_then(Value::as_bool) == Some(true);
                if paired && !is_active {
                    let from = self.other(&server).unwrap_or_default();
                    self.note(
                        at,
                        &server,
                        Event::Heard { from: from.into(), active: true, paired: true },
                    );
                }
            }
            "granted" | "renewed" => self.given(at, &server, event),
            "fenced" => {
                let fenced = word(event, "fenced").unwrap_or_default().to_owned();
                self.fault(at, Fault::Fence { server: fenced });
            }
            "released" => {
                let lease = word(event, "lease").unwrap_or_default().to_owned();
                self.held.remove(&lease);
                self.exchange(at, &server, "", Ask::Release { lease, usage: None }, 204, None);
            }
            _ => {}
        }
        if matches!(event.kind.as_str(), "started" | "restarted" | "committed" | "role") {
            self.runs_bundle(at, &server, event);
        }
    }

    fn other(&self, server: &str) -> Option<String> {
        self.servers.keys().find(|name| *name != server).cloned()
    }

    fn started(&mut self, at: u64, server: &str, before: &[&EventBody]) {
        let known = self.servers.entry(server.to_owned()).or_default();
        let (ran, first) = (known.runs, known.bundle.is_none());
        (known.runs, known.is_active) = (true, false);
        if ran {
            let last = before.iter().rev().find(|event| event.server.as_str() == server);
            let died = last.map_or(at, |event| self.at(event));
            self.fault(died, Fault::Kill { server: server.to_owned() });
        }
        if ran || !first {
            self.fault(at, Fault::Start { server: server.to_owned(), empty: false });
        }
        self.look_for_split(at);
    }

    /// Two servers that are active at once do not hear each other.
    fn look_for_split(&mut self, at: u64) {
        let active = self.servers.values().filter(|known| known.runs && known.is_active).count();
        if (active > 1) == self.is_split {
            return;
        }
        self.is_split = active > 1;
        let names: Vec<String> = self.servers.keys().cloned().collect();
        let [a, b] = names.as_slice() else { return };
        for (from, to) in [(a.clone(), b.clone()), (b.clone(), a.clone())] {
            let cut = Fault::Cut { from: from.clone(), to: to.clone() };
            self.fault(at, if self.is_split { cut } else { Fault::Heal { from, to } });
        }
    }

    fn runs_bundle(&mut self, at: u64, server: &str, event: &EventBody) {
        let Some(bundle) = word(event, "bundle").map(str::to_owned) else { return };
        let generation = number(event, "generation");
        let known = self.servers.entry(server.to_owned()).or_default();
        let runs = Some((generation, bundle.clone()));
        if known.bundle != runs {
            known.bundle = runs;
            self.exchange(at, server, "reconciler", Ask::Commit { bundle, generation }, 200, None);
        }
    }

    /// The peer may have served meanwhile, and nobody tells of whom.
    fn may_be_given_back(&mut self, at: u64, server: &str) {
        for lease in std::mem::take(&mut self.held) {
            self.ask(at, server, "", Ask::Release { lease, usage: None });
        }
    }

    fn given(&mut self, at: u64, server: &str, event: &EventBody) {
        let text = |field: &str| word(event, field).unwrap_or_default().to_owned();
        let seats = u32::try_from(number(event, "seats")).unwrap_or(u32::MAX);
        let (id, product) = (text("lease"), text("product"));
        self.held.insert(id.clone());
        let lease = Lease {
            borrowed: false,
            id: id.clone(),
            usage: String::new(),
            product: product.clone(),
            seats,
            server: server.to_owned(),
            epoch: number(event, "epoch"),
            ttl_ms: number(event, "ttlMs"),
            licenses: Vec::new(),
        };
        let (user, host) = (text("user"), text("host"));
        let client = if user.is_empty() { id.clone() } else { format!("{user}@{host}") };
        let (ask, status) = if event.kind == "granted" {
            let (usage, wait_ms, borrow) = (None, None, false);
            (Ask::Checkout { product, user, host, usage, seats, wait_ms, borrow }, 201)
        } else {
            (Ask::Renew { lease: id, usage: None }, 200)
        };
        self.exchange(at, server, &client, ask, status, Some(lease));
    }

    /// A request whose answer is not known; its number.
    fn ask(&mut self, at: u64, server: &str, client: &str, ask: Ask) -> u64 {
        self.requests += 1;
        let request = self.requests;
        self.note(at, client, Event::Asked { request, to: server.into(), ask: Box::new(ask) });
        request
    }

    fn exchange(
        &mut self,
        at: u64,
        server: &str,
        client: &str,
        ask: Ask,
        status: u16,
        lease: Option<Lease>,
    ) {
        let request = self.ask(at, server, client, ask);
        let lease = lease.map(Box::new);
        let answered = Answered { request, status, code: None, lease, server: None };
        self.note(at, client, Event::Answered(answered));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Promise;

    const LICENSES: &str = r#""heartbeatMs":500,"failoverAfterMs":3000,"aloneAfterMs":6180,"mode":"mirror",
        "licenses":[{"id":"d","product":"designer","seats":1,"notBefore":"2026-01-01T00:00:00Z","expires":null}]"#;

    /// What the promises come to on these events: seconds, server, type and the rest as JSON.
    fn judged(events: &[(u64, &str, &str, &str)]) -> Vec<String> {
        let begin: Timestamp = "2026-06-01T00:00:00Z".parse().expect("a time");
        let events: Vec<EventBody> = events
            .iter()
            .map(|(at, server, kind, rest)| {
                let at = begin + tandem::measure::Span::from_secs(*at);
                let rest = if rest.is_empty() { String::new() } else { format!(",{rest}") };
                let text = format!(
                    r#"{{"schema":1,"seq":1,"at":"{at}","server":"{server}","type":"{kind}"{rest}}}"#
                );
                serde_json::from_str(&text).expect("an event")
            })
            .collect();
        let mut entries = terms(&events, begin);
        let servers: BTreeSet<&str> = events.iter().map(|event| event.server.as_str()).collect();
        entries.extend(history(&events, begin, servers.len() < 2));
        let judge = |promise: &Promise| promise.judge(&entries);
        let all = Promise::ALL.iter().flat_map(judge);
        all.map(|one| format!("{}: {}", one.promise, one.what)).collect()
    }

    fn committed(role: &str, peer: &str) -> String {
        format!(
            r#""generation":1,"bundle":"sha256:one","role":"{role}","peer":"{peer}",{LICENSES}"#
        )
    }

    fn lease(id: &str, user: &str) -> String {
        format!(
            r#""lease":"{id}","product":"designer","user":"{user}","host":"ws","seats":1,"ttlMs":300000,"epoch":1"#
        )
    }

    #[test]
    fn a_seat_that_is_released_or_ran_out_may_be_given_again() {
        let (a, b) = (committed("primary", "lic-b"), committed("secondary", "lic-a"));
        let told = judged(&[
            (0, "lic-a", "started", ""),
            (0, "lic-b", "started", ""),
            (1, "lic-a", "committed", &a),
            (1, "lic-b", "committed", &b),
            (2, "lic-a", "state", r#""state":"active""#),
            (3, "lic-b", "state", r#""state":"standby","paired":true"#),
            (10, "lic-a", "granted", &lease("L1", "ana")),
            (20, "lic-a", "released", r#""lease":"L1""#),
            (21, "lic-a", "granted", &lease("L2", "bo")),
            (400, "lic-a", "granted", &lease("L3", "cy")),
        ]);
        assert_eq!(told, Vec::<String>::new());
    }

    #[test]
    fn a_seat_that_is_given_twice_is_seen_and_a_split_excuses_it() {
        let (a, b) = (committed("primary", "lic-b"), committed("secondary", "lic-a"));
        let begin = [
            (0, "lic-a", "started", ""),
            (0, "lic-b", "started", ""),
            (1, "lic-a", "committed", a.as_str()),
            (1, "lic-b", "committed", b.as_str()),
            (2, "lic-a", "state", r#""state":"active""#),
            (10, "lic-a", "granted", &lease("L1", "ana")),
        ]
        .map(|(at, server, kind, rest)| (at, server, kind, rest.to_owned()));
        let mut twice: Vec<_> =
            begin.iter().map(|(at, server, kind, rest)| (*at, *server, *kind, &**rest)).collect();
        let mut split = twice.clone();
        let second = lease("L2", "bo");
        twice.push((20, "lic-a", "renewed", &begin[5].3));
        twice.push((290, "lic-a", "granted", &second));
        assert_eq!(
            judged(&twice),
            [
                "capacity: 2 seats of `designer` are held and `lic-a` granted the last one with a capacity of 1"
            ]
        );
        split.push((15, "lic-b", "state", r#""state":"active""#));
        split.push((20, "lic-b", "granted", &second));
        assert_eq!(judged(&split), Vec::<String>::new());
    }

    #[test]
    fn a_peer_whose_log_is_missing_may_have_taken_back_what_was_given() {
        let (a, b) = (committed("primary", "lic-b"), committed("secondary", "lic-a"));
        let (first, second) = (lease("L1", "ana"), lease("L2", "bo"));
        let mut told = vec![
            (0, "lic-a", "started", a.as_str()),
            (0, "lic-b", "started", b.as_str()),
            (2, "lic-a", "state", r#""state":"active""#),
            (10, "lic-a", "granted", first.as_str()),
            (60, "lic-a", "started", a.as_str()),
            (61, "lic-a", "state", r#""state":"active""#),
            (62, "lic-a", "granted", second.as_str()),
        ];
        assert_eq!(judged(&told).len(), 1, "both say that nobody gave it back");
        told.retain(|(_, server, ..)| *server == "lic-a");
        assert_eq!(judged(&told), Vec::<String>::new());
        told.push((63, "lic-a", "granted", first.as_str()));
        let third = first.replace("L1", "L3");
        told.last_mut().expect("an event").3 = &third;
        assert_eq!(judged(&told).len(), 1, "what it gave since then counts");
    }

    #[test]
    fn a_process_that_starts_again_was_killed_after_its_last_word() {
        let (a, b) = (committed("primary", "lic-b"), committed("secondary", "lic-a"));
        let told = judged(&[
            (0, "lic-a", "started", &a),
            (0, "lic-b", "started", &b),
            (2, "lic-a", "state", r#""state":"active""#),
            (10, "lic-a", "granted", &lease("L1", "ana")),
            // The secondary took over: no split, since the primary was dead.
            (20, "lic-b", "state", r#""state":"active""#),
            (21, "lic-b", "granted", &lease("L2", "bo")),
            (60, "lic-a", "started", &a),
        ]);
        assert_eq!(
            told,
            [
                "capacity: 2 seats of `designer` are held and `lic-b` granted the last one with a capacity of 1"
            ]
        );
    }
}
