//! `mutants`: a table of the lines that are wrong on purpose, and in how many runs each was reached and caught.

use std::fmt::Write as _;
use std::io;

use clap::Args;
use serde_json::json;
use tandem::mutant::Mutant;

use super::{HAS_MUTANTS, ListFormat, mutant, pretty, print, progress, say};
use crate::mutants::{Effort, Ground, MutantsError, Outcome};
use crate::run::Verdict;

/// What `mutants` takes.
#[derive(Debug, Args)]
pub(super) struct MutantsArgs {
    /// One mutant; all of them where it is absent.
    #[arg(long, value_name = "NAME", value_parser = mutant)]
    mutant: Option<Mutant>,
    /// After how many runs one that was not caught has failed.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    runs: u64,
    /// How many runs must catch one: then the next one's turn has come.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    enough: u64,
    /// Only in this built-in scenario; may be said more than once.
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// How many runs at once; as many as there are processors where it is absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// How to print the results.
    #[arg(long, value_enum, default_value_t = ListFormat::Human)]
    format: ListFormat,
}

/// Why no table was printed.
#[derive(Debug, thiserror::Error)]
pub(super) enum MutantsTrouble {
    /// This program is not wrong anywhere.
    #[error(
        "this program was built without mutants: `cargo run --release -p tandem-sim --features mutants -- mutants`"
    )]
    None,
    /// A scenario cannot be run.
    #[error(transparent)]
    Run(#[from] MutantsError),
}

/// Hunts each mutant and prints what came of it.
pub(super) fn run(args: &MutantsArgs) -> Result<io::Result<Verdict>, MutantsTrouble> {
    if !HAS_MUTANTS {
        return Err(MutantsTrouble::None);
    }
    let all: Vec<Mutant> = args.mutant.map_or_else(|| Mutant::ALL.to_vec(), |one| vec![one]);
    let ground = Ground::of(&args.scenario)?;
    let (runs_max, enough) = (args.runs, args.enough);
    let effort = Effort { runs_max, enough, jobs: super::jobs(args.jobs) };
    let progress = progress(all.len() as u64);
    let mut outcomes = Vec::with_capacity(all.len());
    for mutant in all {
        let told = |one: &Outcome| {
            let name = one.mutant.name();
            progress.set_message(format!("{name}: {} of {} runs", one.caught, one.runs));
        };
        let outcome = ground.hunt(mutant, effort, &told)?;
        progress.inc(1);
        if progress.is_hidden() {
            let (name, caught, runs) = (mutant.name(), outcome.caught, outcome.runs);
            say(&format!("{name}: caught in {caught} of {runs} runs\n"));
        }
        outcomes.push(outcome);
    }
    progress.finish_and_clear();
    let text = match args.format {
        ListFormat::Human => table(&outcomes),
        ListFormat::Json => pretty(&report(&outcomes)),
    };
    let all_caught = outcomes.iter().all(Outcome::is_caught);
    let verdict = if all_caught { Verdict::Held } else { Verdict::Violated };
    Ok(print(&text).map(|()| verdict))
}

fn report(outcomes: &[Outcome]) -> serde_json::Value {
    let mutants: Vec<_> = outcomes
        .iter()
        .map(|one| {
            json!({
                "name": one.mutant.name(), "promise": one.promise, "reached": one.reached,
                "caught": one.caught, "byOracle": one.by_oracle, "runs": one.runs, "by": one.by,
                "places": one.places,
            })
        })
        .collect();
    json!({"schema": 1, "mutants": mutants})
}

fn table(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|one| one.mutant.name().len()).max().unwrap_or(0);
    let mut text = format!(
        "{:width$}  {:13} {:>7} {:>7} {:>7} {:>6}  by\n",
        "mutant", "promise", "reached", "caught", "oracle", "runs"
    );
    for one in outcomes {
        let Outcome { promise, reached, caught, by_oracle, runs, .. } = one;
        let name = one.mutant.name();
        let mut seen: Vec<String> = one.by.iter().cloned().collect();
        if !one.is_caught() {
            seen.insert(0, "NOT CAUGHT".to_owned());
        }
        let places = one.places.iter().map(|(scenario, seed)| format!("{scenario} seed {seed}"));
        let (by, places) = (seen.join(", "), places.collect::<Vec<_>>().join(", "));
        let _ = writeln!(
            text,
            "{name:width$}  {promise:13} {reached:>7} {caught:>7} {by_oracle:>7} {runs:>6}  {by} ({places})"
        );
    }
    text
}
