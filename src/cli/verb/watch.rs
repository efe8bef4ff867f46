//! `tandem watch`: applies every change of a manifest, once it counts as written.

use std::path::PathBuf;

use crate::cli::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::operator::Key;
use crate::cli::teller::{Lines, Teller};
use crate::client::Http;
use crate::measure::Span;
use crate::reconcile::desired::Desired;
use crate::reconcile::event::Event;
use crate::reconcile::watch::{End, Options, Repair, watch};
use crate::seam::stop::{Stop, Told};

/// Arguments of `tandem watch`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 130 and 143 when told to stop; with --once 0 both servers run what is on disk, 1 they do not.")]
pub(crate) struct Args {
    /// The manifest to follow.
    manifest: PathBuf,
    /// What to do when a server runs something else than what was applied.
    #[arg(long, value_enum, default_value_t)]
    repair: RepairArg,
    /// How often files and servers are looked at when nothing happens.
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    interval: Span,
    /// Bring the pair to what is on disk, then end.
    #[arg(long)]
    once: bool,
    /// How to tell what happens.
    #[arg(long, value_enum, default_value_t)]
    format: Lines,
    #[command(flatten)]
    key: Key,
}

/// What to do about drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum RepairArg {
    /// Only tell it.
    Never,
    /// Apply again when a server runs another bundle.
    #[default]
    Config,
    /// Also while one server cannot be reached, as `apply --degraded` does.
    Always,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        if self.interval < Span::from_ms(100) {
            return Err(Failure::usage("`--interval` is less than 100ms"));
        }
        let desired = Desired::read(&self.manifest);
        let operators = desired.manifest().map(|manifest| manifest.trust.operators.clone());
        let key = self.key.find(cx, &operators.unwrap_or_default())?;
        let options = Options {
            manifest: self.manifest,
            flags: String::new(),
            repair: match self.repair {
                RepairArg::Never => Repair::Never,
                RepairArg::Config => Repair::Config,
                RepairArg::Always => Repair::Always,
            },
            interval: self.interval,
            once: self.once,
            at_once: false,
        };
        cx.block_on(async {
            let mut stop = Stop::listen()?;
            let mut told = Told::Terminate;
            let mut teller = Teller::new(cx.output, cx.world.clock.clone(), self.format, true);
            let http = Http::new(cx.world.clone());
            let gone = teller.gone();
            let stopped = async {
                tokio::select! {
                    biased;
                    how = stop.told() => told = how,
                    () = gone.notified() => {}
                }
            };
            let mut tell = |event: Event| teller.tell(&event);
            let end = watch(&http, &key, &options, stopped, &mut tell).await;
            teller.end()?;
            Ok(match (end, told) {
                (End::InSync, _) => Exit::Done,
                (End::NotInSync, _) => Exit::Failed,
                (End::Stopped, Told::Interrupt) => Exit::Interrupted,
                (End::Stopped, Told::Terminate) => Exit::Terminated,
            })
        })?
    }
}
