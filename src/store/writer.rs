//! Who carries out writes: a thread that puts all that is queued into one transaction, or, in a simulation, the
//! caller itself.
//!
//! Writes become durable in the order in which they were submitted; a completion names the last one that is. After
//! a failure nothing more is written: the server opens its disk again (pair.md, rule 11).

use std::sync::mpsc;

use tokio::sync::mpsc as channel;

use super::{Store, StoreError};
use crate::pair::{Write, WriteId};

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
    /// A writer over an open store.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn new(store: Store, kind: WriterKind) -> Result<(Self, Completions), StoreError> {
        let (done, completions) = channel::unbounded_channel();
        let inner = match kind {
            WriterKind::Inline => Inner::Inline { store: Box::new(store), done },
            WriterKind::Threaded => {
                let (queue, batches) = mpsc::channel();
                // The store is closed before `done` is: who waits for that can open it again.
                std::thread::Builder::new()
                    .name("tandem-store".to_owned())
                    .spawn(move || run(store, &batches, &done))?;
                Inner::Threaded { queue }
            }
        };
        Ok((Self(inner), Completions(completions)))
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
