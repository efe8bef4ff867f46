//! What is to happen, by time. Of two things at one microsecond the one that was ordered first comes first; latencies
//! are drawn by the microsecond, so the choices decide the order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Microseconds since the run began.
pub(super) type Micros = u64;

/// One microsecond in a millisecond's worth.
pub(super) const MS: Micros = 1_000;

/// Events that are to come.
#[derive(Debug)]
pub(super) struct Queue<E> {
    heap: BinaryHeap<Scheduled<E>>,
    ordered: u64,
}

#[derive(Debug)]
struct Scheduled<E> {
    at: Micros,
    order: u64,
    event: E,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::with_capacity(256), ordered: 0 }
    }

    /// Orders an event.
    pub(super) fn push(&mut self, at: Micros, event: E) {
        self.ordered += 1;
        self.heap.push(Scheduled { at, order: self.ordered, event });
    }

    /// The next event until a time.
    pub(super) fn pop_until(&mut self, end: Micros) -> Option<(Micros, E)> {
        if self.heap.peek()?.at > end {
            return None;
        }
        self.heap.pop().map(|next| (next.at, next.event))
    }
}

impl<E> PartialEq for Scheduled<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Scheduled<E> {}

impl<E> PartialOrd for Scheduled<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Scheduled<E> {
    /// The earliest is the greatest, as the heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}
