//! `tandem serve`: one server process.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::api::EventBody;
use crate::cli::Context;
use crate::cli::error::{Exit, Explain as _, Failure};
use crate::cli::output::quote;
use crate::name::ServerName;
use crate::seam::disk::Directory;
use crate::seam::files;
use crate::seam::stop::{Stop, Told};
use crate::server::{IDENTITY_FILE, Observer, ServeError, Server, ServerOptions, load_identity};
use crate::statement::OperatorKey;

/// No file of keys is longer; anything longer is another kind of file.
const TRUST_BYTES_MAX: u64 = 1024 * 1024;
/// How many events wait for a log that cannot be written: later ones are left out, and their numbers are missing in it.
const EVENTS_WAITING: usize = 20_000;
/// How soon a log that could not be written is tried again.
const LOG_RETRIED_AFTER: Duration = Duration::from_millis(100);

/// Arguments of `tandem serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The server takes a bundle only if an operator of the bundle that it runs, or a key given with `--trust`, signed it:
give it the first operator's public key at its first start. Exit codes: 1 it cannot run, 64 usage, 130 and 143 when a
signal stopped it.")]
pub(crate) struct Args {
    /// The server's name in the manifest.
    #[arg(long)]
    name: ServerName,
    /// Its data directory: identity key, configuration and leases. Made where there is none.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where it listens: an IP address of this machine's loopback, and a port.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    listen: SocketAddr,
    /// A key whose statements are always accepted: `ssh-ed25519 ...`, or a file of such lines.
    #[arg(long, value_name = "KEY|FILE")]
    trust: Vec<String>,
    /// Take the clock as it is, though a later time was seen before.
    #[arg(long)]
    accept_clock: bool,
    /// Append every event to this file, one line of JSON each.
    #[arg(long, value_name = "FILE")]
    event_log: Option<PathBuf>,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        if !self.listen.ip().to_canonical().is_loopback() {
            // Before anything is made on the disk.
            return Err(Failure::usage(ServeError::NotLoopback(self.listen).to_string()));
        }
        let trust = keys(&self.trust)?;
        let log = self.event_log.as_deref().map(EventLog::open).transpose()?;
        let shown = quote(&self.data.display().to_string());
        let directory = Directory::open(&self.data)
            .context(|| format!("the data directory {shown} cannot be made"))?;
        let cannot =
            format!("{} cannot start with the data directory {shown}", quote(self.name.as_str()));
        let identity = load_identity(&directory, &*cx.world.entropy).context(|| cannot.clone())?;
        let key = self.data.join(IDENTITY_FILE);
        if files::is_open_to_others(&key) {
            cx.output.warning(&format!(
                "`{0}` can be read by others on this machine: `chmod 600 {0}`",
                key.display()
            ));
        }
        let mut options = ServerOptions::new(self.name, self.listen);
        options.trust = trust;
        options.accept_clock = self.accept_clock;
        options.observer = log.as_ref().map(EventLog::observer);
        let exit = cx.block_on(serve(cx, directory, identity, options, cannot))?;
        if let Some(log) = log {
            log.close();
        }
        exit
    }
}

async fn serve(
    cx: &Context,
    directory: Directory,
    identity: crate::seam::entropy::Ed25519Identity,
    options: ServerOptions,
    cannot: String,
) -> Result<Exit, Failure> {
    let mut signals = Stop::listen()?;
    let name = options.name.clone();
    let (disk, identity) = (Arc::new(directory), Arc::new(identity));
    let started = Server::start(cx.world.clone(), disk, identity, options).await;
    let mut running = started.map_err(|error| match error {
        ServeError::Store(_) | ServeError::Start(_) => Failure::from(error).with_context(cannot),
        ServeError::NotLoopback(_) | ServeError::Listen { .. } => error.into(),
    })?;
    cx.output.line(format_args!(
        "listening on {} as {}",
        running.address(),
        quote(name.as_str())
    ))?;
    cx.output.line(format_args!("identity {}", running.key()))?;
    let signal = tokio::select! {
        biased;
        signal = signals.told() => signal,
        () = running.wait() => return Err(Failure::new("the server has ended by itself: see its log")),
    };
    cx.output.note("stopping");
    tokio::select! {
        biased;
        () = running.stop() => {}
        // Who asks twice does not want to wait.
        _ = signals.told() => {}
    }
    Ok(match signal {
        Told::Interrupt => Exit::Interrupted,
        Told::Terminate => Exit::Terminated,
    })
}

/// An address with its port; `localhost` is that of IPv4.
fn address(text: &str) -> Result<SocketAddr, String> {
    let text = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    text.parse().map_err(|_| "is an IP address and a port, for example `127.0.0.1:4820`".to_owned())
}

/// The keys that `--trust` names.
fn keys(given: &[String]) -> Result<Vec<OperatorKey>, Failure> {
    let mut keys = Vec::new();
    for given in given {
        if given.starts_with("ssh-") {
            let key = OperatorKey::parse(given);
            keys.push(
                key.map_err(|error| Failure::usage(format!("the key of `--trust` {error}")))?,
            );
            continue;
        }
        let shown = quote(given);
        let path = Path::new(given);
        let size = std::fs::metadata(path)
            .context(|| format!("{shown}, given with `--trust`, cannot be read"))
            .help(|| "give a public key, `ssh-ed25519 ...`, or a file of such lines".to_owned())?
            .len();
        if size > TRUST_BYTES_MAX {
            return Err(Failure::new(format!("{shown} is too large for a file of public keys")));
        }
        let text = std::fs::read_to_string(path)
            .context(|| format!("{shown}, given with `--trust`, cannot be read"))?;
        let listed = OperatorKey::parse_list(&text)
            .map_err(|(line, error)| Failure::new(format!("line {line} of {shown} {error}")))?;
        if listed.is_empty() {
            return Err(Failure::new(format!("{shown}, given with `--trust`, has no key")));
        }
        keys.extend(listed);
    }
    Ok(keys)
}

/// A file that events are appended to, by a thread of its own: a slow disk must not hold up the server.
struct EventLog {
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
    fn open(path: &Path) -> Result<Self, Failure> {
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
                        std::thread::sleep(LOG_RETRIED_AFTER);
                    }
                }
            })?;
        Ok(Self { lines, writer, is_closing })
    }

    fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Lines(self.lines.clone()))
    }

    /// Writes what waits.
    fn close(self) {
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
