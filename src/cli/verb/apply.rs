//! `tandem apply`: makes both servers run a manifest, or neither.

use std::path::{Path, PathBuf};

use crate::cli::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::operator::{Key, who};
use crate::cli::output::quote;
use crate::cli::planning::{Need, Planned, against_servers};
use crate::cli::teller::{Lines, Teller};
use crate::cli::verb::show;
use crate::client::Http;
use crate::manifest::types::SshPublicKey;
use crate::plan::Plan;
use crate::plan::render::human;
use crate::reconcile::apply::{Applied, ApplyError, Order, apply};
use crate::reconcile::event::Event;

/// Arguments of `tandem apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 both servers run it; 1 nothing has changed, or one server will take it later (which it says);
64 usage.")]
pub(crate) struct Args {
    /// The manifest, or a plan that `tandem plan --out` saved.
    #[arg(value_name = "MANIFEST|PLAN")]
    file: PathBuf,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Apply to one server when the other cannot be reached; that one takes it from its peer when it returns.
    #[arg(long)]
    degraded: bool,
    /// Take away more than the `safety` limits of the running manifest allow.
    #[arg(long)]
    allow_large_change: bool,
    /// How to tell what happens.
    #[arg(long, value_enum, default_value_t)]
    format: Lines,
    #[command(flatten)]
    key: Key,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let saved = saved_plan(&self.file)?;
        let manifest = match &saved {
            Some(plan) => plan.manifest.clone().map(PathBuf::from).ok_or_else(|| {
                Failure::new("the plan does not say which manifest it is of")
                    .with_help("plan again")
            })?,
            None => self.file.clone(),
        };
        cx.block_on(async {
            let http = Http::new(cx.world.clone());
            let planned =
                against_servers(cx, &http, &manifest, &self.key, Need::Sign, false).await?;
            self.go_on(cx, &http, planned, saved.as_ref()).await
        })?
    }

    async fn go_on(
        &self,
        cx: &Context,
        http: &Http,
        planned: Planned,
        saved: Option<&Plan>,
    ) -> Result<Exit, Failure> {
        let manifest = planned.desired.file().to_owned();
        let operators = planned.bundle.manifest().trust.operators.clone();
        let mut teller = Teller::new(cx.output, cx.world.clock.clone(), self.format, false);
        for view in &planned.views {
            let event = view.event();
            if self.format == Lines::Jsonl || view.status.is_err() {
                teller.tell(&event);
            }
        }
        if planned.plan.has_changes() {
            if let Some(saved) = saved {
                saved.still_holds(&planned.plan)?;
            }
            self.show(cx, &planned.plan, &mut teller)?;
            self.check_limits(&planned.plan, &manifest)?;
            if saved.is_none() && !self.is_wanted(cx, &planned, &manifest)? {
                cx.output.note("nothing has changed");
                return Ok(Exit::Failed);
            }
        }
        let Some(key) = &planned.key else {
            return Err(Failure::new("there is no operator's key to sign with"));
        };
        let order = Order {
            bundle: planned.bundle.clone(),
            source: planned.desired.source(),
            allow_large_change: self.allow_large_change,
            degraded: self.degraded,
        };
        let running = planned.running.as_ref();
        let mut tell = |event: Event| teller.tell(&event);
        let applied = apply(http, key, &planned.views, running, &order, &mut tell).await;
        teller.end()?;
        match applied {
            Ok(applied) => Ok(done(cx, &applied)),
            Err(error) => Err(failure(&error, &manifest, &operators)),
        }
    }

    fn show(&self, cx: &Context, plan: &Plan, teller: &mut Teller) -> Result<(), Failure> {
        match self.format {
            Lines::Human => cx.output.text(&human(plan)),
            Lines::Jsonl => {
                teller.tell(&Event::Planned { bundle: plan.bundle, summary: plan.summary() });
                Ok(())
            }
        }
    }

    /// The servers judge it; nobody is asked to confirm what they would refuse.
    fn check_limits(&self, plan: &Plan, manifest: &str) -> Result<(), Failure> {
        if plan.exceeds.is_empty() || self.allow_large_change {
            return Ok(());
        }
        let exceeded = plan.exceeds.clone();
        let error = crate::plan::LargeChange { exceeded };
        let command = crate::reconcile::apply::large_change_command(manifest);
        Err(Failure::from(error)
            .with_context(
                "nothing has changed: the running manifest's `safety` limits do not allow it",
            )
            .with_help(format!("if that is what you want: `{command}`")))
    }

    fn is_wanted(&self, cx: &Context, planned: &Planned, manifest: &str) -> Result<bool, Failure> {
        if self.yes {
            return Ok(true);
        }
        let pair = quote(planned.plan.pair.as_str()).clone();
        let without = format!("to apply without being asked: `tandem apply --yes {manifest}`");
        cx.output.confirm(&format!("apply this to the pair {pair}?"), &without)
    }
}

/// The plan in a file, if it is one: a manifest is read later.
fn saved_plan(path: &Path) -> Result<Option<Plan>, Failure> {
    let bytes = show::read(path)?;
    let is_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    // A manifest may be written as JSON too, and then says so.
    Ok(if is_json { Plan::read(&bytes).ok() } else { None })
}

fn done(cx: &Context, applied: &Applied) -> Exit {
    if !applied.changed && applied.later.is_empty() {
        cx.output.note("nothing to do: both servers run it already");
    }
    for (server, _) in &applied.later {
        cx.output.warning(&format!(
            "`{server}` does not run generation {} yet: it takes it from its peer when it returns",
            applied.generation
        ));
    }
    if applied.later.is_empty() { Exit::Done } else { Exit::Failed }
}

fn failure(error: &ApplyError, manifest: &str, operators: &[SshPublicKey]) -> Failure {
    let mut message = error.to_string();
    for fingerprint in error.operators() {
        message = message.replace(&fingerprint, &who(&fingerprint, operators));
    }
    let failure = Failure::new(message);
    match error.help(manifest) {
        Some(help) => failure.with_help(help),
        None => failure,
    }
}
