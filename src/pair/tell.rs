//! What the pair tells whoever listens, so that its event log can be judged by itself: under what a server serves, and
//! each seat that it gave, once whoever asked is answered.

use serde_json::{Map, Value, json};

use super::Pair;
use super::command::{Held, Reply};
use super::io::{Effect, Event};
use crate::measure::{Epoch, Seats, Span};
use crate::name::{HostName, LeaseId, ProductName, UserName};

/// An event's particulars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Details {
    /// As a JSON object.
    Told(Map<String, Value>),
    /// A seat that was given: the one event that each request makes is put into words by whoever reads it.
    Given(Box<Given>),
}

/// A seat that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    lease: LeaseId,
    product: ProductName,
    user: UserName,
    host: HostName,
    seats: Seats,
    ttl: Span,
    epoch: Epoch,
}

impl Pair {
    /// The first event of a server that starts, or starts anew from its disk for this reason.
    #[must_use]
    pub fn opening(&self, reason: Option<&str>) -> Event {
        let mut details = self.configuration();
        details.insert("epoch".into(), self.facts.epoch.0.into());
        if let Some(reason) = reason {
            details.insert("reason".into(), reason.into());
        }
        let kind = if reason.is_some() { "restarted" } else { "started" };
        Event { kind, details: Details::Told(details) }
    }

    /// What runs here and what it means for this server: nothing where it has no bundle.
    pub(super) fn configuration(&self) -> Map<String, Value> {
        let mut told = Map::new();
        let (Some(committed), Some(role)) = (&self.committed, self.role()) else { return told };
        let Some(config) = &self.config else { return told };
        let redundancy = &config.redundancy;
        let products = config.products.values();
        let licenses = products.flat_map(|product| product.licenses_of(role)).map(|license| {
            json!({
                "id": license.id, "product": license.product, "seats": license.seats,
                "notBefore": license.not_before, "expires": license.expires,
            })
        });
        told.insert("generation".into(), committed.generation.0.into());
        told.insert("bundle".into(), committed.hash().to_string().into());
        told.insert("role".into(), role.as_str().into());
        told.insert("peer".into(), self.peer().map_or(Value::Null, |peer| json!(peer.name)));
        told.insert("mode".into(), json!(redundancy.mode));
        told.insert("heartbeatMs".into(), redundancy.heartbeat.ms().into());
        told.insert("failoverAfterMs".into(), redundancy.failover_after.ms().into());
        told.insert("aloneAfterMs".into(), redundancy.alone_after().ms().into());
        told.insert("licenses".into(), licenses.collect());
        told
    }

    /// Tells of a seat that was given: whoever asked is answered now.
    pub(super) fn tell_given(&self, reply: &Reply, out: &mut Vec<Effect>) {
        let Reply::Lease(held) = reply else { return };
        let kind = if held.is_new { "granted" } else { "renewed" };
        out.push(Effect::Event(Event { kind, details: Details::Given(Box::new(Given::of(held))) }));
    }
}

impl Given {
    fn of(held: &Held) -> Self {
        let lease = &held.lease;
        Self {
            lease: lease.id.clone(),
            product: lease.product.clone(),
            user: lease.user.clone(),
            host: lease.host.clone(),
            seats: lease.seats(),
            ttl: held.ttl,
            epoch: held.epoch,
        }
    }
}

impl Details {
    /// The particulars as a JSON object.
    #[must_use]
    pub fn into_json(self) -> Map<String, Value> {
        let given = match self {
            Self::Told(told) => return told,
            Self::Given(given) => *given,
        };
        let mut details = Map::new();
        details.insert("lease".into(), given.lease.as_str().into());
        details.insert("product".into(), given.product.as_str().into());
        details.insert("user".into(), given.user.as_str().into());
        details.insert("host".into(), given.host.as_str().into());
        details.insert("seats".into(), given.seats.0.into());
        details.insert("ttlMs".into(), given.ttl.ms().into());
        details.insert("epoch".into(), given.epoch.0.into());
        details
    }
}
