//! Writes down what happens in a run: the history for the oracles, the trace for the hash. Clones write to one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::history::{Ask, Entry, Event};
use crate::trace::Trace;

/// Where everything that happens in a run is noted.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    now: u64,
    entries: Vec<Entry>,
    trace: Trace,
    requests: u64,
    broken: Option<String>,
}

impl Recorder {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what time it is, in milliseconds since the run began.
    pub fn set_now(&self, at_ms: u64) {
        self.record().now = at_ms;
    }

    /// What time it is, in milliseconds since the run began.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.record().now
    }

    /// Notes an event of the history.
    pub fn note(&self, host: &str, event: Event) {
        let mut record = self.record();
        let at = record.now;
        // Every event has a JSON form; one that had none would show in the history's own test.
        let content = serde_json::to_vec(&event).unwrap_or_default();
        record.trace.event(at, host, "note", &content);
        record.entries.push(Entry { at, host: host.into(), event });
    }

    /// Notes a request and gives it its number.
    pub fn asked(&self, host: &str, to: &str, ask: Ask) -> u64 {
        let request = {
            let mut record = self.record();
            record.requests += 1;
            record.requests
        };
        self.note(host, Event::Asked { request, to: to.to_owned(), ask: Box::new(ask) });
        request
    }

    /// Takes bytes that passed a socket, or another event without a history, into the trace.
    pub fn trace(&self, host: &str, kind: &str, content: &[u8]) {
        let mut record = self.record();
        let at = record.now;
        record.trace.event(at, host, kind, content);
    }

    /// Says that the simulator itself failed: the run proves nothing. The first reason counts.
    pub fn broken(&self, reason: String) {
        self.record().broken.get_or_insert(reason);
    }

    /// Why the simulator failed, where it did.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.record().broken.clone()
    }

    /// Looks at the history so far.
    pub fn look<T>(&self, look: impl FnOnce(&[Entry]) -> T) -> T {
        look(&self.record().entries)
    }

    /// The history and the trace's hash.
    #[must_use]
    pub fn finish(&self) -> (Vec<Entry>, String) {
        let mut record = self.record();
        (std::mem::take(&mut record.entries), record.trace.hash())
    }
}
