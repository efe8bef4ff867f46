//! Who is cut off from whom: what a scenario has cut or holds, kept apart from what a power cut does to the same
//! links for a moment.

use std::collections::BTreeSet;

use crate::history::{Event, Fault};
use crate::record::Recorder;

/// The cuts and holds of a run.
#[derive(Debug, Default)]
pub struct Links {
    /// What the first sends the second is lost.
    cut: BTreeSet<(String, String)>,
    /// What the two send each other waits. In order of their names.
    held: BTreeSet<(String, String)>,
}

fn pair(a: &str, b: &str) -> (String, String) {
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    (a.to_owned(), b.to_owned())
}

impl Links {
    /// What one sends the other is lost from now on.
    pub fn cut(&mut self, sim: &turmoil::Sim<'_>, from: &str, to: &str, recorder: &Recorder) {
        if self.cut.insert((from.to_owned(), to.to_owned())) {
            sim.partition_oneway(from, to);
            let (from, to) = (from.to_owned(), to.to_owned());
            recorder.note("world", Event::Fault(Fault::Cut { from, to }));
        }
    }

    /// What the two send each other waits from now on.
    pub fn hold(&mut self, sim: &turmoil::Sim<'_>, a: &str, b: &str, recorder: &Recorder) {
        if self.held.insert(pair(a, b)) {
            sim.hold(a, b);
            for (from, to) in [(a, b), (b, a)] {
                let (from, to) = (from.to_owned(), to.to_owned());
                recorder.note("world", Event::Fault(Fault::Cut { from, to }));
            }
        }
    }

    /// Whatever was cut or held between the two passes again.
    pub fn mend(&mut self, sim: &turmoil::Sim<'_>, a: &str, b: &str, recorder: &Recorder) {
        let held = self.held.remove(&pair(a, b));
        let mut healed = Vec::new();
        for (from, to) in [(a, b), (b, a)] {
            if self.cut.remove(&(from.to_owned(), to.to_owned())) || held {
                healed.push(Fault::Heal { from: from.to_owned(), to: to.to_owned() });
            }
        }
        if held {
            sim.release(a, b);
        } else if !healed.is_empty() {
            sim.repair(a, b);
        }
        for fault in healed {
            recorder.note("world", Event::Fault(fault));
        }
    }

    /// Every link passes again.
    pub fn mend_all(&mut self, sim: &turmoil::Sim<'_>, recorder: &Recorder) {
        let all: BTreeSet<_> = self.cut.iter().chain(&self.held).map(|(a, b)| pair(a, b)).collect();
        for (a, b) in all {
            self.mend(sim, &a, &b, recorder);
        }
    }

    /// A machine loses power: what it says in dying does not leave it. `die` ends its process.
    pub fn dark(
        &self,
        sim: &mut turmoil::Sim<'_>,
        node: &str,
        others: &[&str],
        die: impl FnOnce(&mut turmoil::Sim<'_>),
    ) {
        for other in others {
            sim.partition(node, *other);
        }
        die(sim);
        for other in others {
            sim.repair(node, *other);
            for (from, to) in [(node, *other), (*other, node)] {
                if self.cut.contains(&(from.to_owned(), to.to_owned())) {
                    sim.partition_oneway(from, to);
                }
            }
            if self.held.contains(&pair(node, other)) {
                sim.hold(node, *other);
            }
        }
    }
}
