//! `tandem up`: both servers of a manifest in this process, following the manifest. For trying out and demos.
//!
//! State and a key of its own are in `.tandem/` beside the manifest: starting again keeps the leases.

use std::path::{Path, PathBuf};

use crate::cli::Context;
use crate::cli::board::{Board, look};
use crate::cli::diagnostics;
use crate::cli::error::{Exit, Failure};
use crate::cli::local::{end, local_key, prepare, start, state_of};
use crate::cli::output::quote;
use crate::cli::teller::Lines;
use crate::client::Http;
use crate::client::operator_key::HeldKey;
use crate::manifest::types::Manifest;
use crate::measure::Span;
use crate::name::ServerName;
use crate::reconcile::desired::{Beside, Desired};
use crate::reconcile::event::Event;
use crate::reconcile::observe::{self, Target};
use crate::reconcile::watch::{Options, Repair, watch};
use crate::seam::stop::{Stop, Told};
use crate::server::Running;

/// Arguments of `tandem up`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
State and a key of its own are in `.tandem/` beside the manifest, which git is told to ignore: remove it to start
anew. Exit codes: 1 the servers cannot run, 64 usage, 130 and 143 when told to stop.")]
pub(crate) struct Args {
    /// The manifest.
    #[arg(default_value = "tandem.yaml")]
    manifest: PathBuf,
    /// How to tell what happens.
    #[arg(long, value_enum, default_value_t)]
    format: Lines,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let manifest = valid(cx, &self.manifest)?;
        let state = prepare(&self.manifest)?;
        let key = local_key(cx, &state)?;
        cx.block_on(async {
            let mut stop = Stop::listen()?;
            let pair = observe::pair(&manifest)?;
            let mut servers = Vec::new();
            for described in &manifest.servers {
                let running = start(cx, described, &state, &key).await?;
                servers.push((described.name.clone(), running));
            }
            let told = self.follow(cx, &pair, &key, &mut servers, &mut stop).await;
            cx.output.note("stopping both servers");
            end(servers.into_iter().map(|(_, running)| running), &mut stop).await;
            told.map(|told| match told {
                Told::Interrupt => Exit::Interrupted,
                Told::Terminate => Exit::Terminated,
            })
        })?
    }

    /// Follows the manifest and shows both servers until told to stop.
    async fn follow(
        &self,
        cx: &Context,
        pair: &[Target; 2],
        key: &HeldKey,
        servers: &mut [(ServerName, Running)],
        stop: &mut Stop,
    ) -> Result<Told, Failure> {
        let board = Board::new(cx, self.format);
        for (server, running) in &*servers {
            let (server, address) = (server.clone(), running.address().to_string());
            board.tell(Event::Started { server, address });
        }
        let http = Http::new(cx.world.clone());
        let options = Options {
            manifest: self.manifest.clone(),
            flags: format!("--key {} ", state_of(&self.manifest).join("operator").display()),
            repair: Repair::Config,
            interval: Span::from_secs(2),
            once: false,
            at_once: true,
        };
        let mut told = Told::Terminate;
        let gone = board.gone();
        let stopped = async {
            tokio::select! {
                biased;
                how = stop.told() => told = how,
                () = gone.notified() => {}
            }
        };
        let mut tell = |event| board.tell(event);
        tokio::select! {
            biased;
            _ = watch(&http, key, &options, stopped, &mut tell) => {}
            failure = look(cx, &http, pair, key, &board) => return Err(failure),
            name = broken(servers) => return Err(Failure::new(format!(
                "{} has ended by itself: its log says why (`TANDEM_LOG=info`)",
                quote(name.as_str())
            ))),
        }
        board.end()?;
        Ok(told)
    }
}

/// Waits until a server ends by itself, which it only does when it is broken; its name.
async fn broken(servers: &mut [(ServerName, Running)]) -> ServerName {
    let [(one, first), (other, second)] = servers else { return std::future::pending().await };
    tokio::select! {
        biased;
        () = first.wait() => one.clone(),
        () = second.wait() => other.clone(),
    }
}

/// The manifest, if it is valid: broken, it does not say which servers to start.
fn valid(cx: &Context, path: &Path) -> Result<Manifest, Failure> {
    let desired = Desired::read(path);
    let beside = Beside { now: cx.world.clock.now().wall, running: None, signer: None };
    let judged = desired.judge(&beside)?;
    diagnostics::tell(&judged.findings);
    match desired.manifest() {
        Some(manifest) if judged.bundle.is_some() => Ok(manifest.clone()),
        _ => {
            let failure = Failure::new(format!(
                "{} is not valid: no server was started",
                quote(desired.file())
            ));
            Err(if path.exists() {
                failure
            } else {
                failure.with_help("`tandem init` writes a manifest to start from")
            })
        }
    }
}
