//! `tandem serve`: one server process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::Context;
use crate::cli::error::{Exit, Explain as _, Failure};
use crate::cli::event_log::EventLog;
use crate::cli::output::quote;
use crate::name::ServerName;
use crate::seam::disk::Directory;
use crate::seam::files;
use crate::seam::stop::{Stop, Told};
use crate::server::{IDENTITY_FILE, ServeError, Server, ServerOptions, load_identity};
use crate::statement::OperatorKey;

/// No file of keys is longer; anything longer is another kind of file.
const TRUST_BYTES_MAX: u64 = 1024 * 1024;

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
        if let Some(warning) = files::warning_of_open(&self.data.join(IDENTITY_FILE)) {
            cx.output.warning(&warning);
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
