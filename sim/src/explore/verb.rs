//! `tandem-sim explore`: searches spaces, shows what it found, keeps the schedule of a broken promise.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tandem::measure::Span;
use tandem::mutant::Mutant;

use crate::cli::interrupt::Interrupt;
use crate::cli::mode::ModeArg;
use crate::cli::progress::{self, Lines};
use crate::cli::say;
use crate::run::Verdict;

use super::{Bounds, ExploreError, Explored, explore, replay, whole};

/// The arguments of `explore`.
#[derive(Debug, clap::Args)]
#[command(after_help = spaces())]
pub struct Args {
    /// One space, by its name.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["mode", "replay"])]
    space: Option<String>,
    /// Every space of a redundancy mode.
    #[arg(long, value_enum, default_value_t = ModeArg::Mirror)]
    mode: ModeArg,
    /// How many threads search; as many as there are processors where it is absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Goes only so many transitions far.
    #[arg(long, value_name = "N")]
    depth: Option<u64>,
    /// Stops after so many states.
    #[arg(long, value_name = "N")]
    states: Option<u64>,
    /// How to print the results.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Plays the recorded choices of a search again.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mode", "depth", "states"])]
    replay: Option<PathBuf>,
    /// Where to write the choices that broke a promise. [default: explore-SPACE.json]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Breaks one line of the product on purpose, to see that it is noticed.
    #[arg(long, value_name = "NAME", value_parser = crate::cli::mutant, hide = !cfg!(feature = "mutants"))]
    mutant: Option<Mutant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Human,
    /// One JSON document.
    Json,
}

/// Why a search cannot be reported on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing was searched.
    #[error(transparent)]
    Usage(#[from] ExploreError),
    /// A file cannot be read.
    #[error("{}: {error}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file cannot be replayed.
    #[error("{}: {error}", .file.display())]
    Replay {
        /// The file.
        file: PathBuf,
        /// Why.
        error: ExploreError,
    },
    /// Nobody could end it.
    #[error("Ctrl-C cannot be listened for: {0}")]
    Deaf(#[from] io::Error),
}

/// A search, and how long it took by the clock.
struct Searched {
    explored: Explored,
    took: Span,
}

/// Searches as the arguments say: gives what is to be printed, and how it ended.
///
/// # Errors
/// Nothing was searched.
pub fn run(args: &Args) -> Result<(String, Verdict), Failure> {
    if let Some(file) = &args.replay {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::Read { file: file.clone(), error })?;
        let (lines, broken) =
            replay(&text).map_err(|error| Failure::Replay { file: file.clone(), error })?;
        let mut text = lines.join("\n") + "\n";
        let verdict = match &broken {
            Some((promise, what)) => format!("`{promise}` is violated: {what}\n"),
            None => "every promise holds\n".to_owned(),
        };
        text += &verdict;
        let verdict = if broken.is_none() { Verdict::Held } else { Verdict::Violated };
        return Ok((text, verdict));
    }
    let spaces: Vec<String> = match &args.space {
        Some(space) => vec![space.clone()],
        None => whole(args.mode.into()).into_iter().map(str::to_owned).collect(),
    };
    let bounds = Bounds {
        jobs: crate::cli::jobs(args.jobs),
        states: args.states.unwrap_or(u64::MAX),
        depth: args.depth.unwrap_or(u64::MAX),
    };
    let progress = progress();
    let interrupt = Interrupt::listen()?;
    let clock = tandem::seam::World::real().clock;
    let mut found: Vec<Searched> = Vec::new();
    for space in &spaces {
        let begun = clock.now().moment;
        progress.set_message(space.clone());
        progress.set_position(0);
        progress.reset_elapsed();
        let lines = Lines::default();
        let explored = explore(space, bounds, args.mutant, &|states| {
            progress.set_position(states);
            lines.beside(&progress, |seconds| format!("{space}: {states} states in {seconds} s\n"));
            !interrupt.came()
        })?;
        let violated = explored.violated.is_some();
        found.push(Searched { explored, took: clock.now().moment.since(begun) });
        if violated || interrupt.came() {
            break;
        }
    }
    progress.finish_and_clear();
    let is_cut = found.len() < spaces.len() || !found.iter().all(|one| one.explored.exhausted);
    let mut verdict = if interrupt.came() && is_cut { Verdict::Interrupted } else { Verdict::Held };
    let mut recorded = None;
    for Searched { explored: one, .. } in &found {
        if let Some(violated) = &one.violated {
            verdict = Verdict::Violated;
            let name = format!("explore-{}.json", one.space);
            let file = args.record.clone().unwrap_or_else(|| PathBuf::from(name));
            match std::fs::write(&file, &violated.recording) {
                Ok(()) => recorded = Some(file),
                Err(error) => {
                    verdict = Verdict::Failed;
                    say(&format!("error: {}: {error}\n", file.display()));
                }
            }
        }
    }
    let file = recorded.map(|file| file.display().to_string());
    let text = match args.format {
        Format::Human => human(&found, file.as_deref()),
        Format::Json => {
            serde_json::to_string_pretty(&document(&found, file.as_deref())).unwrap_or_default()
                + "\n"
        }
    };
    Ok((text, verdict))
}

fn document(found: &[Searched], file: Option<&str>) -> Value {
    let one = |Searched { explored, took }: &Searched| {
        let mut value = json!({
            "name": explored.space, "states": explored.states, "depth": explored.depth,
            "exhausted": explored.exhausted, "tookMs": took.ms(),
        });
        if let Some(reached) = explored.reached {
            value["reached"] = reached.into();
        }
        if let Some(violated) = &explored.violated {
            value["violated"] = json!({
                "promise": violated.promise.as_str(), "what": violated.what, "choices": file,
            });
        }
        value
    };
    json!({
        "schema": 1,
        "states": found.iter().map(|one| one.explored.states).sum::<u64>(),
        "depth": found.iter().map(|one| one.explored.depth).max().unwrap_or(0),
        "exhausted": found.iter().all(|one| one.explored.exhausted),
        "spaces": found.iter().map(one).collect::<Vec<_>>(),
    })
}

fn human(found: &[Searched], file: Option<&str>) -> String {
    let mut text = String::new();
    for Searched { explored: one, took } in found {
        let (space, states, depth) = (one.space, one.states, one.depth);
        let how = match (&one.violated, one.exhausted) {
            (Some(_), _) => "violated",
            (None, true) => "exhausted: every promise holds",
            (None, false) => "not exhausted: every promise holds in what was seen",
        };
        let how = match one.reached {
            Some(false) => format!("{how}; the mutant's line was not reached"),
            Some(true) if one.violated.is_none() => format!("{how}; the mutant's line was reached"),
            _ => how.to_owned(),
        };
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "{space:<22} {states:>11} states  depth {depth:>5}  {:>6.1} s  {how}",
            took.to_std().as_secs_f64()
        );
    }
    for violated in found.iter().filter_map(|one| one.explored.violated.as_ref()) {
        let (promise, what) = (violated.promise, &violated.what);
        let _ = writeln!(text, "\n`{promise}` is violated: {what}\n");
        let _ = writeln!(
            text,
            "{:>4}  {:<12}  {:<34}  {:<34}  {:<12}  client 1",
            "beat", "what", "primary (a)", "secondary (b)", "client 0"
        );
        for line in &violated.schedule {
            let _ = writeln!(text, "{line}");
        }
        if let Some(file) = file {
            let _ = writeln!(text, "\nagain: tandem-sim explore --replay {file}");
        }
    }
    text
}

/// The spaces, for the help.
fn spaces() -> String {
    let lines = super::about().map(|(name, about)| format!("  {name:<22} {about}\n"));
    "Spaces:\n".to_owned() + &lines.collect::<String>()
}

/// States per second while it searches, on a terminal.
fn progress() -> ProgressBar {
    let bar = progress::bar(None, "{msg}: {pos} states, {per_sec}, {elapsed}");
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
