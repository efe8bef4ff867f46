//! `tandem show`: a saved plan again, and whether it still holds.

use std::path::{Path, PathBuf};

use crate::cli::Context;
use crate::cli::error::{Exit, Explain as _, Failure};
use crate::cli::output::quote;
use crate::cli::verb::plan::{PlanFormat, exit, print};
use crate::client::{Endpoint, Http};
use crate::plan::{PLAN_BYTES_MAX, Plan};
use crate::reconcile::observe;
use crate::repository;

/// Arguments of `tandem show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A plan that `tandem plan --out` saved.
    plan: PathBuf,
    /// How to print the plan.
    #[arg(long, value_enum, default_value_t)]
    format: PlanFormat,
    /// End with 2 when the plan would change something.
    #[arg(long)]
    detailed_exitcode: bool,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let plan = Plan::read(&read(&self.plan)?)
            .context(|| format!("{} cannot be shown", quote(&self.plan.display().to_string())))?;
        for reason in cx.block_on(stale(cx, &plan))? {
            cx.output.warning(&format!("plan is stale: {reason}"));
        }
        print(cx, &plan, self.format)?;
        Ok(exit(&plan, self.detailed_exitcode))
    }
}

/// Reads a file that may be a plan.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let most = u64::try_from(PLAN_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .context(|| format!("{} could not be read", quote(&path.display().to_string())))?;
    Ok(bytes)
}

/// Why a plan does not hold any more, as far as that can be seen without a key: its files are others, or a server
/// runs another generation.
async fn stale(cx: &Context, plan: &Plan) -> Vec<String> {
    let mut reasons = Vec::new();
    let Some(path) = &plan.manifest else { return reasons };
    let loaded = repository::read(Path::new(path));
    match loaded.bundle() {
        Some(Ok(bundle)) if bundle.hash() == plan.bundle => {}
        _ => reasons.push(format!("the files of {} are not those of the plan", quote(path))),
    }
    let http = Http::new(cx.world.clone());
    let servers = loaded.manifest.map(|manifest| manifest.servers).unwrap_or_default();
    for server in servers {
        let Some(planned) = plan.base.get(&server.name) else { continue };
        let Ok(endpoint) = Endpoint::new(&server.address, server.port, server.key) else {
            continue;
        };
        let Ok(status) = observe::status(&http, &endpoint).await else { continue };
        if status.generation != *planned {
            let name = quote(server.name.as_str());
            let by = status.last_apply.map_or_else(String::new, |apply| {
                format!(", applied by {} at {}", apply.operator, apply.at)
            });
            reasons.push(format!(
                "it stands on generation {planned} of {name}, which runs generation {}{by}",
                status.generation
            ));
        }
    }
    reasons
}
