//! The user's own numbers: how long somebody was without a seat, and who lost one.
//!
//! A client is without a seat from when it wanted one (or its lease ended in its own eyes) until an answer gives one.
//! A definite refusal (no seat free, not entitled) starts the count anew: nobody failed it. It judges nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::{Answered, Ask, Entry, Event};
use crate::oracle::View;

/// A time in which a client was without a seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// Who.
    pub client: String,
    /// When it began, in milliseconds since the run began.
    pub from: u64,
    /// When it ended; absent: not before the run.
    pub until: Option<u64>,
    /// How long it was.
    pub ms: u64,
    /// Whether the client held a seat before and lost it, rather than waited for a first one.
    pub lost: bool,
}

/// What a client wants and has, while its history is read.
#[derive(Default)]
struct Client {
    wants: bool,
    /// Since when it waits.
    waits: Option<u64>,
    /// Until when it may believe in its lease.
    believes: Option<u64>,
    lost: bool,
}

impl Client {
    /// A lease that ran out meanwhile begins a wait.
    fn pass(&mut self, now: u64) {
        if let Some(until) = self.believes.filter(|until| *until <= now) {
            self.believes = None;
            if self.wants {
                self.waits = Some(until);
                self.lost = true;
            }
        }
    }

    fn close(&mut self, name: &str, now: u64, ended: bool, gaps: &mut Vec<Gap>) {
        let Some(from) = self.waits.take() else { return };
        let until = ended.then_some(now);
        let (client, ms) = (name.to_owned(), now.saturating_sub(from));
        gaps.push(Gap { client, from, until, ms, lost: self.lost });
        self.lost = false;
    }
}

/// Every time in which a client was without a seat, by when it ended.
#[must_use]
pub fn gaps(entries: &[Entry]) -> Vec<Gap> {
    let mut clients: BTreeMap<&str, Client> = BTreeMap::new();
    let mut asks: BTreeMap<u64, (u64, &Ask)> = BTreeMap::new();
    let mut gaps = Vec::new();
    for entry in entries {
        let name = &*entry.host;
        match &entry.event {
            Event::Wants { .. } => {
                let client = clients.entry(name).or_default();
                client.wants = true;
                client.waits = Some(entry.at);
            }
            Event::Leaves { .. } => {
                let client = clients.entry(name).or_default();
                client.pass(entry.at);
                client.close(name, entry.at, false, &mut gaps);
                *client = Client::default();
            }
            Event::Asked { request, ask, .. } => {
                asks.insert(*request, (entry.at, ask));
            }
            Event::Answered(Answered { request, status, lease, .. }) => {
                let Some((asked, ask)) = asks.remove(request) else { continue };
                let Some(client) = clients.get_mut(name).filter(|client| client.wants) else {
                    continue;
                };
                client.pass(entry.at);
                match (ask, lease) {
                    (Ask::Checkout { .. } | Ask::Renew { .. }, Some(lease))
                        if matches!(status, 200 | 201) =>
                    {
                        let until = asked.saturating_add(lease.ttl_ms);
                        if until > entry.at {
                            client.close(name, entry.at, true, &mut gaps);
                            client.believes = client.believes.max(Some(until));
                        }
                    }
                    (Ask::Renew { .. }, _)
                        if matches!(status, 404 | 409) && client.believes.is_some() =>
                    {
                        // The holder learns that its seat is gone.
                        client.believes = None;
                        client.waits = Some(entry.at);
                        client.lost = true;
                    }
                    (Ask::Checkout { .. }, _)
                        if matches!(status, 403 | 409) && client.waits.is_some() =>
                    {
                        client.waits = Some(entry.at);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    let end = entries.last().map_or(0, |entry| entry.at);
    for (name, mut client) in clients {
        client.pass(end);
        client.close(name, end, false, &mut gaps);
    }
    gaps
}

/// What a run did to the people who hold seats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Numbers {
    /// For each client that ever wanted a seat: the longest time without one, in milliseconds.
    pub worst_by_client: BTreeMap<String, u64>,
    /// How many clients held a seat and lost it before they gave it back.
    pub lost: u64,
    /// How many requests were granted, renewed, refused, and without an answer.
    pub granted: u64,
    /// Renewals that were answered with the lease.
    pub renewed: u64,
    /// Checkouts that were refused for good reason: no seat free, or not entitled.
    pub refused: u64,
    /// Requests without an answer.
    pub unknown: u64,
}

impl Numbers {
    /// The numbers of a history.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        Self::of_view(&View::of(entries), &gaps(entries))
    }

    /// The same of a history that is in order already, with its gaps.
    pub(crate) fn of_view(view: &View<'_>, gaps: &[Gap]) -> Self {
        let mut numbers = Self::default();
        for entry in view.entries {
            if matches!(entry.event, Event::Wants { .. }) {
                numbers.worst_by_client.entry(entry.host.to_string()).or_default();
            }
        }
        let mut losers = std::collections::BTreeSet::new();
        for gap in gaps {
            if gap.lost {
                losers.insert(&gap.client);
            }
            let worst = numbers.worst_by_client.entry(gap.client.clone()).or_default();
            *worst = gap.ms.max(*worst);
        }
        numbers.lost = losers.len() as u64;
        for exchange in &view.exchanges {
            if !numbers.worst_by_client.contains_key(exchange.client) {
                continue;
            }
            let status = exchange.answer.as_ref().map(|reply| reply.status);
            match (exchange.ask, status) {
                (_, None) => numbers.unknown += 1,
                (Ask::Checkout { .. }, Some(200 | 201)) => numbers.granted += 1,
                (Ask::Renew { .. }, Some(200)) => numbers.renewed += 1,
                (Ask::Checkout { .. }, Some(403 | 409)) => numbers.refused += 1,
                _ => {}
            }
        }
        numbers
    }

    /// The longest that anybody was without a seat.
    #[must_use]
    pub fn worst(&self) -> u64 {
        self.worst_by_client.values().copied().max().unwrap_or(0)
    }
}

/// The middle one of some numbers, the lower of two; 0 of none.
#[must_use]
pub fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    let middle = numbers.len().saturating_sub(1) / 2;
    numbers.get(middle).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Lease;

    #[derive(Default)]
    struct Told(Vec<Entry>, u64);

    impl Told {
        fn note(&mut self, at: u64, event: Event) {
            self.0.push(Entry { at, host: "ana".into(), event });
        }

        fn wants(&mut self, at: u64) {
            self.note(at, Event::Wants { product: "designer".into() });
        }

        fn exchange(&mut self, at: u64, renew: bool, status: u16) {
            self.1 += 1;
            let request = self.1;
            let ask = if renew {
                Ask::Renew { lease: "L1".into(), usage: None }
            } else {
                let (product, user) = ("designer".into(), "ana".into());
                Ask::Checkout {
                    product,
                    user,
                    host: "ws".into(),
                    usage: None,
                    seats: 1,
                    wait_ms: None,
                    borrow: false,
                }
            };
            self.note(at, Event::Asked { request, to: "lic-a".into(), ask: Box::new(ask) });
            let lease = matches!(status, 200 | 201).then(|| {
                Box::new(Lease {
                    id: "L1".into(),
                    usage: "u".into(),
                    product: "designer".into(),
                    seats: 1,
                    server: "lic-a".into(),
                    epoch: 1,
                    ttl_ms: 1_000,
                    licenses: Vec::new(),
                    borrowed: false,
                })
            });
            let answered = Answered { request, status, code: None, lease, server: None };
            self.note(at + 10, Event::Answered(answered));
        }

        fn gaps(&self) -> Vec<(u64, u64, bool)> {
            gaps(&self.0).into_iter().map(|gap| (gap.from, gap.ms, gap.lost)).collect()
        }
    }

    #[test]
    fn a_wait_ends_with_a_seat_and_a_refusal_begins_it_anew() {
        let mut told = Told::default();
        told.wants(100);
        told.exchange(200, false, 503);
        told.exchange(300, false, 409);
        told.exchange(400, false, 201);
        assert_eq!(told.gaps(), [(310, 100, false)]);
    }

    #[test]
    fn a_lease_that_runs_out_is_a_lost_seat() {
        let mut told = Told::default();
        told.wants(0);
        told.exchange(0, false, 201);
        told.exchange(500, true, 503);
        told.exchange(1_400, false, 201);
        assert_eq!(told.gaps(), [(0, 10, false), (1_000, 410, true)]);
        let numbers = Numbers::of(&told.0);
        assert_eq!((numbers.lost, numbers.worst(), numbers.granted), (1, 410, 2));
    }

    #[test]
    fn a_renewed_lease_is_none_and_neither_is_one_given_back() {
        let mut told = Told::default();
        told.wants(0);
        told.exchange(0, false, 201);
        told.exchange(900, true, 200);
        told.exchange(1_800, true, 200);
        told.note(2_000, Event::Leaves { product: "designer".into() });
        told.note(9_000, Event::Lost { request: 99 });
        assert_eq!(told.gaps(), [(0, 10, false)]);
    }

    #[test]
    fn the_median_of_two_is_the_lower() {
        assert_eq!((median(vec![]), median(vec![3, 1]), median(vec![5, 1, 3])), (0, 1, 3));
    }
}
