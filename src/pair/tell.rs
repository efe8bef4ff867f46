//! What the pair tells whoever listens, so that its event log can be judged by itself: under what a server serves, and
//! each seat that it gave, once whoever asked is answered.

use serde_json::{Map, Value, json};

use super::Pair;
use super::command::{Held, Reply};
use super::io::{Effect, Event};

impl Pair {
    /// The first event of a server that starts, or starts anew from its disk for this reason.
    #[must_use]
    pub fn opening(&self, reason: Option<&str>) -> Event {
        let mut details = self.configuration();
        details.insert("epoch".into(), self.facts.epoch.0.into());
        if let Some(reason) = reason {
            details.insert("reason".into(), reason.into());
        }
        Event { kind: if reason.is_some() { "restarted" } else { "started" }, details }
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
        out.push(Effect::Event(Event { kind, details: details(held) }));
    }
}

fn details(held: &Held) -> Map<String, Value> {
    let lease = &held.lease;
    let mut details = Map::new();
    details.insert("lease".into(), lease.id.as_str().into());
    details.insert("product".into(), lease.product.as_str().into());
    details.insert("user".into(), lease.user.as_str().into());
    details.insert("host".into(), lease.host.as_str().into());
    details.insert("seats".into(), lease.seats().0.into());
    details.insert("ttlMs".into(), held.ttl.ms().into());
    details.insert("epoch".into(), held.epoch.0.into());
    details
}
