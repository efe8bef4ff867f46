//! `tandem plan`: what a manifest would change, and who would lose a seat. Changes nothing.

use std::path::PathBuf;

use crate::cli::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::key_file::write_over;
use crate::cli::operator::Key;
use crate::cli::planning::{Need, against_servers, offline};
use crate::client::Http;
use crate::plan::Plan;
use crate::plan::render::{human, markdown};
use crate::seam::files::Access;

/// Arguments of `tandem plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the plan was made; with --detailed-exitcode 0 nothing would change and 2 something would; 1 it could
not be made, 64 usage.")]
pub(crate) struct Args {
    /// The manifest.
    manifest: PathBuf,
    /// Compare with this instead of asking the servers: a revision of git, another manifest, a bundle or a saved
    /// status. No server is asked.
    #[arg(long, value_name = "REV|FILE")]
    against: Option<String>,
    /// How to print the plan.
    #[arg(long, value_enum, default_value_t)]
    format: PlanFormat,
    /// Leave out the names of users and computers.
    #[arg(long)]
    redact: bool,
    /// Save the plan to a file, for `tandem show` and `tandem apply`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["against", "redact"])]
    out: Option<PathBuf>,
    /// End with 2 when something would change.
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    key: Key,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PlanFormat {
    /// Text for people.
    #[default]
    Human,
    /// One JSON document with a `schema` version.
    Json,
    /// Markdown for a comment on a pull request.
    Markdown,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let plan = match &self.against {
            Some(against) => offline(cx, &self.manifest, against, self.redact)?.1,
            None => {
                let http = Http::new(cx.world.clone());
                let (path, key) = (&self.manifest, &self.key);
                let planned = against_servers(cx, &http, path, key, Need::Maybe, self.redact);
                cx.block_on(planned)??.plan
            }
        };
        if let Some(path) = &self.out {
            let mut text = serde_json::to_vec_pretty(&plan)?;
            text.push(b'\n');
            // It names who would lose a seat.
            write_over(path, &text, Access::Owner)?;
        }
        print(cx, &plan, self.format)?;
        Ok(exit(&plan, self.detailed_exitcode))
    }
}

/// Prints a plan as a result.
pub(super) fn print(cx: &Context, plan: &Plan, format: PlanFormat) -> Result<(), Failure> {
    match format {
        PlanFormat::Human => cx.output.text(&human(plan)),
        PlanFormat::Json => cx.output.json(plan),
        PlanFormat::Markdown => cx.output.bytes(markdown(plan).as_bytes()),
    }
}

/// How a verb ends that shows a plan.
pub(super) fn exit(plan: &Plan, is_detailed: bool) -> Exit {
    if is_detailed && plan.has_changes() { Exit::Changes } else { Exit::Done }
}
