//! The network: which messages arrive, when, and how often. Requests and answers of clients are messages of their own;
//! the connection between the servers is in `connection`.

use super::queue::{MS, Micros};
use super::stage::Stage;
use super::{Event, Node};

/// How many nodes there are: two servers, the clients, the reconciler.
pub(super) const NODES: usize = 4;
/// The node that all clients are on.
pub(super) const CLIENTS: Node = 2;
/// The node of the reconciler.
pub(super) const RECONCILER: Node = 3;
/// The most that a reordered message is late.
const REORDERED_BY: Micros = 2_000 * MS;

/// What one node sends another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// It is lost.
    pub(super) is_cut: bool,
    /// It waits.
    pub(super) is_held: bool,
    /// Nobody is let through: the receiver is fenced.
    pub(super) is_shut: bool,
    /// It takes so much longer.
    pub(super) slow: Micros,
    /// It waits until then.
    pub(super) clogged_until: Micros,
    /// Of a thousand messages, how many are lost.
    pub(super) loss: u64,
    /// Of a thousand messages, how many come twice.
    pub(super) duplicate: u64,
    /// Of a thousand messages, how many come late.
    pub(super) reorder: u64,
}

impl Link {
    /// Whether bytes pass.
    pub(super) const fn passes(&self) -> bool {
        !self.is_cut && !self.is_held && !self.is_shut
    }

    /// Whether what is sent now waits for so long that its reader takes the sender for gone.
    pub(super) const fn is_clogged(&self, now: Micros) -> bool {
        self.clogged_until > now
    }
}

/// The links of a run, and what waits on them.
#[derive(Debug)]
pub(super) struct Network {
    links: [[Link; NODES]; NODES],
    least: Micros,
    most: Micros,
    held: Vec<(Node, Node, Event)>,
}

impl Network {
    /// Every link passes; a message takes up to so long.
    pub(super) fn new(least: Micros, most: Micros) -> Self {
        Self { links: Default::default(), least, most, held: Vec::new() }
    }

    /// What one sends the other.
    pub(super) fn link(&self, from: Node, to: Node) -> Link {
        self.links.get(from).and_then(|row| row.get(to)).copied().unwrap_or_default()
    }

    pub(super) fn link_mut(&mut self, from: Node, to: Node) -> Option<&mut Link> {
        self.links.get_mut(from).and_then(|row| row.get_mut(to))
    }

    /// Every pair of nodes, in order.
    pub(super) fn pairs() -> impl Iterator<Item = (Node, Node)> {
        (0..NODES).flat_map(|from| (0..NODES).map(move |to| (from, to)))
    }
}

impl Stage<'_> {
    /// How long a message takes on its way.
    pub(super) fn latency(&mut self, from: Node, to: Node) -> Micros {
        let (least, most) = (self.network.least, self.network.most);
        let drawn = least + self.choices.choose("latency", most - least + 1);
        let link = self.network.link(from, to);
        let clogged = link.clogged_until.saturating_sub(self.log.now);
        (drawn + link.slow).max(clogged)
    }

    /// Sends a message that is on its own: it arrives once, twice, late, or never.
    pub(super) fn post(&mut self, from: Node, to: Node, event: Event) {
        let link = self.network.link(from, to);
        if link.loss > 0 && self.chance("lost", link.loss) {
            return;
        }
        if !link.passes() {
            self.network.held.push((from, to, event));
            return;
        }
        let mut late = self.latency(from, to);
        if link.reorder > 0 && self.chance("reordered", link.reorder) {
            late += self.choices.choose("late", REORDERED_BY);
        }
        let now = self.log.now;
        if link.duplicate > 0
            && self.chance("twice", link.duplicate)
            && let Some(copy) = event.again()
        {
            let later = self.latency(from, to) + self.choices.choose("late", REORDERED_BY);
            self.queue.push(now + later, copy);
        }
        self.queue.push(now + late, event);
    }

    /// Whether something happens that happens so many times of a thousand. Choice 0 is that it does not.
    pub(super) fn chance(&mut self, label: &'static str, permille: u64) -> bool {
        permille > 0 && self.choices.choose(label, 1_000) >= 1_000_u64.saturating_sub(permille)
    }

    /// What waited on a link is on its way. What was sent into a cut is lost where its sender has given it up.
    pub(super) fn let_go(&mut self, from: Node, to: Node, was_cut: bool) {
        let held = std::mem::take(&mut self.network.held);
        for (source, target, event) in held {
            if (source, target) == (from, to) {
                if !was_cut || self.choices.choose("given-up", 2) == 0 {
                    self.post(from, to, event);
                }
            } else {
                self.network.held.push((source, target, event));
            }
        }
        self.resume_streams(from, to);
    }
}
