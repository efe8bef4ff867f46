//! The disk of a machine: most runs have a log in memory with the store's own crash rules, the others the real store on
//! a simulated disk, where sectors tear.
//!
//! Writes become durable in their order, each whole or not at all. After a power cut any number of the first ones that
//! were not yet reported is there; after a failed sync nobody knows, so the process starts again from what is there.

use std::collections::VecDeque;
use std::sync::Arc;

use tandem::bundle::Config;
use tandem::mutant;
use tandem::pair::{Durable, Write, WriteId};
use tandem::store::Store;

use super::queue::Micros;
use crate::seed::Choices;
use crate::world::disk::SimDisk;

/// The most operations of the real store that a power cut may fall into.
const OPERATIONS: u64 = 24;

/// How many of the latest writes a disk that ignores syncs loses with its power.
const UNSYNCED: usize = 8;

/// The disk of a machine.
#[derive(Debug)]
pub(super) struct Disk {
    content: Content,
    /// What was submitted and is not reported yet.
    pub(super) queue: VecDeque<(WriteId, Vec<Write>)>,
    /// When what was submitted so far is written.
    pub(super) free_at: Micros,
    /// Whether writes are reported late.
    pub(super) is_stalled: bool,
    /// Reports that wait for the end of a stall.
    pub(super) owed: u32,
    is_full: bool,
    failing: u64,
    /// What a disk that ignores syncs held before each of the latest writes.
    before: VecDeque<Durable>,
}

#[derive(Debug)]
enum Content {
    Log(Box<Durable>),
    Store { disk: SimDisk, store: Option<Box<Store>> },
}

/// A write failed: what the disk holds is not known.
#[derive(Debug)]
pub(super) struct Failed;

impl Disk {
    /// An empty disk.
    pub(super) fn new(is_real: bool) -> Self {
        let content = if is_real {
            Content::Store { disk: SimDisk::new(), store: None }
        } else {
            Content::Log(Box::default())
        };
        Self {
            content,
            queue: VecDeque::new(),
            free_at: 0,
            is_stalled: false,
            owed: 0,
            is_full: false,
            failing: 0,
            before: VecDeque::new(),
        }
    }

    /// The first of what was submitted is written, or fails. Nothing where nothing was.
    pub(super) fn complete(&mut self, choices: &mut Choices) -> Option<Result<WriteId, Failed>> {
        let (id, writes) = self.queue.pop_front()?;
        let failing = self.failing > 0;
        let result = match &mut self.content {
            Content::Log(durable) => {
                let there = !self.is_full
                    && (!failing || choices.choose("there-after-a-failed-sync", 2) == 1);
                if mutant!(DiskIgnoresSync) {
                    self.before.push_back((**durable).clone());
                    if self.before.len() > UNSYNCED {
                        self.before.pop_front();
                    }
                }
                if there {
                    writes.iter().for_each(|write| durable.apply(write));
                }
                if failing || self.is_full { Err(Failed) } else { Ok(id) }
            }
            Content::Store { disk, store } => {
                disk.fail_syncs(self.failing);
                let written = store.as_mut().map(|store| store.write(&writes));
                if matches!(written, Some(Ok(()))) { Ok(id) } else { Err(Failed) }
            }
        };
        self.failing = self.failing.saturating_sub(u64::from(failing));
        if result.is_err() {
            // The writer stops: nothing that was submitted after it is written.
            self.queue.clear();
        }
        Some(result)
    }

    /// Everything that was submitted is written, as well as that goes.
    pub(super) fn drain(&mut self, choices: &mut Choices) {
        while self.complete(choices).is_some() {}
    }

    /// The power goes off.
    pub(super) fn lose_power(&mut self, choices: &mut Choices) {
        let pending = self.queue.len() as u64;
        match &mut self.content {
            Content::Log(durable) => {
                if let Some(before) = std::mem::take(&mut self.before).pop_front() {
                    **durable = before;
                }
                let survive = choices.choose("survives", pending + 1);
                for _ in 0..survive {
                    if let Some((_, writes)) = self.queue.pop_front() {
                        writes.iter().for_each(|write| durable.apply(write));
                    }
                }
            }
            Content::Store { disk, store } => {
                if let Some((_, writes)) = self.queue.pop_front() {
                    disk.power_off_in(1 + choices.choose("operation", OPERATIONS));
                    // It fails when the power goes off in it, or is the last that was written.
                    let _ = store.as_mut().map(|store| store.write(&writes));
                }
                disk.power_off();
                *store = None;
                disk.power_on(choices);
            }
        }
        self.queue.clear();
        self.owed = 0;
    }

    /// The process is killed: what its writer did not come to is lost.
    pub(super) fn lose_process(&mut self, choices: &mut Choices) {
        let survive = choices.choose("survives", self.queue.len() as u64 + 1);
        let keep = usize::try_from(survive).unwrap_or(0);
        self.queue.truncate(keep);
        self.drain(choices);
        self.close();
        self.owed = 0;
    }

    fn close(&mut self) {
        if let Content::Store { disk, store } = &mut self.content {
            disk.detach();
            *store = None;
        }
    }

    /// A process opens the disk.
    pub(super) fn open(&mut self, known: &[Arc<Config>]) -> Result<Durable, String> {
        match &mut self.content {
            Content::Log(durable) => Ok((**durable).clone()),
            Content::Store { disk, store } => {
                *store = None;
                disk.detach();
                let opened = Store::open_knowing(disk, known);
                let (opened, durable) = opened.map_err(|error| error.to_string())?;
                *store = Some(Box::new(opened));
                Ok(durable)
            }
        }
    }

    /// An empty disk takes its place.
    pub(super) fn replace(&mut self) {
        match &mut self.content {
            Content::Log(durable) => **durable = Durable::default(),
            Content::Store { disk, store } => {
                *store = None;
                disk.replace();
            }
        }
    }

    /// The next sync fails.
    pub(super) fn fail_sync(&mut self) {
        self.failing = 1;
    }

    /// The disk is full, or has room again.
    pub(super) fn set_full(&mut self, full: bool) {
        self.is_full = full;
        if let Content::Store { disk, .. } = &self.content {
            disk.set_capacity(full.then_some(0));
        }
    }

    /// Everything about it is well again.
    pub(super) fn mend(&mut self) {
        self.failing = 0;
        self.set_full(false);
        if let Content::Store { disk, .. } = &self.content {
            disk.fail_syncs(0);
        }
    }

    /// What it would hold if the power went off now and nothing survived that was not reported.
    pub(super) fn look<T>(
        &self,
        seed: u64,
        known: &[Arc<Config>],
        look: impl FnOnce(&Durable) -> T,
    ) -> Result<T, String> {
        match &self.content {
            Content::Log(durable) => Ok(look(durable)),
            Content::Store { disk, .. } => {
                let disk = disk.copy();
                disk.power_off();
                // Looking decides nothing: it must not shift the choices of the run.
                disk.power_on(&mut Choices::from_seed(seed));
                let opened = Store::open_knowing(&disk, known);
                let (_store, durable) = opened.map_err(|error| error.to_string())?;
                Ok(look(&durable))
            }
        }
    }
}
