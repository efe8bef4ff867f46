//! Events: what the pair tells, numbered, for whoever listens.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::api::{EVENT_SCHEMA, EventBody};
use crate::measure::{Now, Timestamp};
use crate::name::ServerName;
use crate::pair::{Durable, Effect, Event, Input};

/// How many events a listener may be behind before it is cut off.
const BEHIND_MAX: usize = 4096;

/// Is told what a server does, in order: the event log, and the records of a simulation.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &EventBody) {
        let _ = event;
    }

    /// A pair begins with what its disk holds, or begins anew.
    fn begin(&self, now: Now, accept_clock: bool, durable: &Durable) {
        let _ = (now, accept_clock, durable);
    }

    /// The pair was told something.
    fn input(&self, now: Now, input: &Input) {
        let _ = (now, input);
    }

    /// The pair ordered something.
    fn effects(&self, effects: &[Effect]) {
        let _ = effects;
    }
}

/// Numbers events and passes them on.
pub(super) struct Events {
    server: ServerName,
    seq: u64,
    listeners: broadcast::Sender<Arc<EventBody>>,
    observer: Option<Arc<dyn Observer>>,
}

impl Events {
    pub(super) fn new(server: ServerName, observer: Option<Arc<dyn Observer>>) -> Self {
        let (listeners, _) = broadcast::channel(BEHIND_MAX);
        Self { server, seq: 0, listeners, observer }
    }

    /// Where to listen. What is told from then on is heard.
    pub(super) fn listeners(&self) -> broadcast::Sender<Arc<EventBody>> {
        self.listeners.clone()
    }

    pub(super) fn observer(&self) -> Option<&Arc<dyn Observer>> {
        self.observer.as_ref()
    }

    pub(super) fn tell(&mut self, at: Timestamp, event: Event) {
        self.seq += 1;
        let details = event.details.into_json();
        let lease = details.get("lease").and_then(|id| id.as_str()).unwrap_or_default();
        match event.kind {
            // What happens for every lease would drown what happens to the pair.
            "granted" | "queued" | "dropped" | "renewed" | "released" | "expired" | "adopted"
            | "denied" => {
                tracing::debug!(kind = event.kind, lease, "event");
            }
            "state" => {
                let word = |key: &str| details.get(key).and_then(|value| value.as_str());
                let (role, state) = (word("role"), word("state"));
                tracing::info!(role, state, "the server's state changed");
            }
            kind => tracing::info!(kind, lease, "event"),
        }
        let body = EventBody {
            schema: EVENT_SCHEMA,
            seq: self.seq,
            at,
            server: self.server.clone(),
            kind: event.kind.to_owned(),
            details,
        };
        if let Some(observer) = &self.observer {
            observer.event(&body);
        }
        if self.listeners.receiver_count() > 0 {
            // Nobody listens any more: then nobody misses it.
            let _nobody = self.listeners.send(Arc::new(body));
        }
    }
}
