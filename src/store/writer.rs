//! Who carries out writes: a thread that puts all that is queued into one transaction, or, in a simulation, the
//! caller itself.
//!
//! Writes become durable in the order in which they were submitted; a completion names the last one that is. After
//! a failure nothing more is written: the server opens its disk again (pair.md, rule 11).

use std::sync::{Arc, mpsc};

use tokio::sync::mpsc as channel;
use tokio::sync::oneshot;

use super::{Store, StoreError};
use crate::pair::{Durable, Write, WriteId};
use crate::seam::disk::Disk;

/// How writes are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterKind {
    /// On a thread of their own, all that is queued in one transaction.
    Threaded,
    /// At once, by whoever submits: no threads, so that a simulation is deterministic.
    Inline,
}

/// The most batches that are put into one transaction.
const BATCHES_MAX: usize = 1024;

type Outcome = Result<WriteId, StoreError>;

/// What was written, in order: the greatest number that is durable, or why nothing more will be.
#[derive(Debug)]
pub struct Completions(channel::UnboundedReceiver<Outcome>);

impl Completions {
    /// The next completion.
    ///
    /// # Errors
    /// A write failed, or the writer is gone: nothing more will be written.
    pub async fn next(&mut self) -> Result<WriteId, StoreError> {
        self.0.recv().await.unwrap_or(Err(StoreError::Stopped))
    }

    /// The completions of a writer that writes nothing.
    #[must_use]
    pub fn none() -> Self {
        let (_, completions) = channel::unbounded_channel();
        Self(completions)
    }

    /// Waits until the store is closed: its writer was dropped and has finished.
    pub async fn closed(mut self) {
        while self.0.recv().await.is_some() {}
    }
}

/// Takes writes. Dropped, it finishes what was submitted and closes the store: [`Completions::closed`] waits for it.
#[derive(Debug)]
pub struct Writer(Inner);

#[derive(Debug)]
enum Inner {
    // In this order: the store is closed before its completions are.
    Inline { store: Box<Store>, done: channel::UnboundedSender<Outcome> },
    Threaded { queue: mpsc::Sender<(WriteId, Vec<Write>)> },
}

impl Writer {
    /// Opens the store of a data directory, and gives what it holds. A threaded writer opens it on its thread.
    ///
    /// # Errors
    /// As [`Store::open`], or a thread cannot be started.
    pub async fn open(
        disk: Arc<dyn Disk>,
        kind: WriterKind,
    ) -> Result<(Self, Completions, Durable), StoreError> {
        let (done, completions) = channel::unbounded_channel();
        match kind {
            WriterKind::Inline => {
                let (store, durable) = Store::open(&*disk)?;
                let inner = Inner::Inline { store: Box::new(store), done };
                Ok((Self(inner), Completions(completions), durable))
            }
            WriterKind::Threaded => {
                let (queue, batches) = mpsc::channel();
                let (opened, opening) = oneshot::channel();
                // The store is closed before `done` is: who waits for that can open it again.
                std::thread::Builder::new().name("tandem-store".to_owned()).spawn(move || {
                    match Store::open(&*disk) {
                        Ok((store, durable)) => {
                            // Nobody waits for a store that is not wanted any more.
                            if opened.send(Ok(durable)).is_ok() {
                                run(store, &batches, &done);
                            }
                        }
                        Err(error) => drop(opened.send(Err(error))),
                    }
                })?;
                let durable = opening.await.unwrap_or(Err(StoreError::Stopped))?;
                Ok((Self(Inner::Threaded { queue }), Completions(completions), durable))
            }
        }
    }

    /// A writer that writes nothing.
    #[must_use]
    pub fn stopped() -> Self {
        let (queue, _) = mpsc::channel();
        Self(Inner::Threaded { queue })
    }

    /// Orders writes, to be durable after everything submitted before. What came of it is told by the completions.
    pub fn submit(&mut self, id: WriteId, writes: Vec<Write>) {
        match &mut self.0 {
            Inner::Inline { store, done } => {
                // A receiver that is gone wants no answer.
                let _gone = done.send(store.write(&writes).map(|()| id));
            }
            Inner::Threaded { queue } => {
                // A thread that is gone has said so in its last completion.
                let _gone = queue.send((id, writes));
            }
        }
    }
}

/// The thread: waits for a batch, takes what else is queued, writes it all at once.
fn run(
    mut store: Store,
    batches: &mpsc::Receiver<(WriteId, Vec<Write>)>,
    done: &channel::UnboundedSender<Outcome>,
) {
    while let Ok((mut last, mut writes)) = batches.recv() {
        for (id, more) in batches.try_iter().take(BATCHES_MAX) {
            last = id;
            writes.extend(more);
        }
        let outcome = store.write(&writes).map(|()| last);
        let failed = outcome.is_err();
        if done.send(outcome).is_err() || failed {
            break;
        }
    }
}
