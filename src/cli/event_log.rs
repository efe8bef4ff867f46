//! The event log of `tandem serve`: a file of JSON lines, written by a thread of its own, since a slow disk must not hold
//! up the server.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use super::error::{Explain as _, Failure};
use super::output::quote;
use crate::api::EventBody;
use crate::measure::Span;
use crate::server::Observer;

/// How many events wait for a log that cannot be written: later ones are left out, and their numbers are missing in it.
const EVENTS_WAITING: usize = 20_000;
/// How soon a log that could not be written is tried again.
const RETRIED_AFTER: Span = Span::from_ms(100);

/// A file that events are appended to.
pub(super) struct EventLog {
    lines: mpsc::SyncSender<String>,
    writer: JoinHandle<()>,
    /// Whether the server has stopped: a log that cannot be written is waited for no longer.
    is_closing: Arc<AtomicBool>,
}

/// Passes events on to the thread.
struct Lines(mpsc::SyncSender<String>);

impl Observer for Lines {
    fn event(&self, event: &EventBody) {
        if let Ok(mut line) = serde_json::to_string(event) {
            line.push('\n');
            // The server waits for no log.
            let _left_out = self.0.try_send(line);
        }
    }
}

impl EventLog {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let shown = quote(&path.display().to_string()).to_string();
        let cannot = || format!("the event log {shown} cannot be written");
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(path).context(cannot)?;
        if ends_in_midline(path).context(cannot)? {
            file.write_all(b"\n").context(cannot)?;
        }
        let (lines, waiting) = mpsc::sync_channel::<String>(EVENTS_WAITING);
        let is_closing = Arc::new(AtomicBool::new(false));
        let closes = Arc::clone(&is_closing);
        let writer =
            std::thread::Builder::new().name("tandem-events".to_owned()).spawn(move || {
                for line in waiting {
                    let mut rest = line.as_bytes();
                    let mut is_told = false;
                    // A disk that is full may have room again: then the log goes on where it ended.
                    while let Err(error) = write_some(&mut file, &mut rest) {
                        if !is_told {
                            tracing::error!(%error, "the event log cannot be written now");
                            is_told = true;
                        }
                        if closes.load(Ordering::Relaxed) {
                            return;
                        }
                        std::thread::sleep(RETRIED_AFTER.to_std());
                    }
                }
            })?;
        Ok(Self { lines, writer, is_closing })
    }

    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Lines(self.lines.clone()))
    }

    /// Writes what waits.
    pub(super) fn close(self) {
        self.is_closing.store(true, Ordering::Relaxed);
        drop(self.lines);
        // A writer that failed has said why.
        let _failed = self.writer.join();
    }
}

/// Writes a line, or the rest of it.
fn write_some(file: &mut std::fs::File, rest: &mut &[u8]) -> std::io::Result<()> {
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(written) => *rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether a process that was killed left half of a line at the end of a log: what comes next is not to be part of it.
fn ends_in_midline(log: &Path) -> std::io::Result<bool> {
    let metadata = std::fs::metadata(log)?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(false);
    }
    let mut file = std::fs::File::open(log)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != [b'\n'])
}
