//! What is to happen, by time. Of two things at one microsecond the one that was ordered first comes first; latencies
//! are drawn by the microsecond, so the choices decide the order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Microseconds since the run began.
pub(super) type Micros = u64;

/// One microsecond in a millisecond's worth.
pub(super) const MS: Micros = 1_000;

/// Events that are to come.
#[derive(Debug)]
pub(super) struct Queue<E> {
    /// By time and order, and where the event is: what a heap moves about is small.
    heap: BinaryHeap<Reverse<(Micros, u64, usize)>>,
    events: Vec<Option<E>>,
    free: Vec<usize>,
    ordered: u64,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        let (heap, events) = (BinaryHeap::with_capacity(256), Vec::with_capacity(256));
        Self { heap, events, free: Vec::new(), ordered: 0 }
    }

    /// Orders an event.
    pub(super) fn push(&mut self, at: Micros, event: E) {
        self.ordered += 1;
        let place = self.free.pop().unwrap_or(self.events.len());
        match self.events.get_mut(place) {
            Some(free) => *free = Some(event),
            None => self.events.push(Some(event)),
        }
        self.heap.push(Reverse((at, self.ordered, place)));
    }

    /// The next event until a time.
    pub(super) fn pop_until(&mut self, end: Micros) -> Option<(Micros, E)> {
        if self.heap.peek()?.0.0 > end {
            return None;
        }
        let Reverse((at, _, place)) = self.heap.pop()?;
        self.free.push(place);
        self.events.get_mut(place)?.take().map(|event| (at, event))
    }
}
