//! The command line: reads the arguments, runs campaigns, prints reports, ends with the exit code that says how it
//! went: 0 held, 1 violated, 3 did not converge, 4 the simulator itself failed, 64 usage.

mod fuzz;
pub(crate) mod interrupt;
pub(crate) mod mode;
mod mutants;
pub(crate) mod progress;
mod recorded;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::ProgressBar;
use interrupt::Interrupt;
use progress::Lines;
use tandem::measure::Timestamp;
use tandem::mutant::Mutant;

use crate::check::{CheckArgs, check};
use crate::explore;
use crate::history;
use crate::report::{Campaign, Command, github, human, json, junit, verdict};
use crate::run::{Run, Verdict, World, both_worlds, campaign};
use crate::scenario::{Builtin, Scenario, builtin};
use crate::subject::Subject;
use crate::world::setup::{Setup, SetupError};
use crate::world::{core_world, turmoil_world};

/// Whether this program was built with lines that are wrong on purpose.
const HAS_MUTANTS: bool = cfg!(feature = "mutants");
/// The exit code of a mistake in the arguments or in a file that they name.
const USAGE: u8 = 64;
/// How many seeds one campaign has at most: what came of each is kept to its end.
const SEEDS_MAX: u64 = 1_000_000;
/// The exit code of a reader that has gone away, or of a report that could not be written.
const UNWRITTEN: u8 = 4;

/// Proves on a simulated network that a manifest survives failover, or shows how it does not.
///
/// Exit codes: 0 every promise held, 1 one was violated, 3 the pair did not converge, 4 the simulator itself
/// failed, 64 usage, 130 Ctrl-C before all was done.
#[derive(Debug, Parser)]
#[command(name = "tandem-sim", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs a scenario, or every scenario in a folder, over many seeds.
    Run(RunArgs),
    /// Runs seeds in which everything is drawn, faults too, for as long as it is told to.
    Fuzz(fuzz::FuzzArgs),
    /// Runs a recorded run again.
    Replay(recorded::ReplayArgs),
    /// Makes a recorded run that breaks a promise as short as it can be.
    Shrink(recorded::ShrinkArgs),
    /// Shows that the oracles notice lines that are wrong on purpose.
    #[command(hide = !HAS_MUTANTS)]
    Mutants(mutants::MutantsArgs),
    /// Judges what real servers and clients wrote down, with the same oracles.
    Check(CheckArgs),
    /// Searches every schedule of a small pair with few faults.
    Explore(explore::Args),
    /// Lists the scenarios that are built in.
    List {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = ListFormat::Human)]
        format: ListFormat,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// A built-in scenario, a scenario file, or a folder of them.
    #[arg(value_name = "SCENARIO|DIR")]
    scenario: String,
    /// The manifest to simulate, instead of the scenario's own or the built-in example.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// One seed.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "shard"],
        value_parser = clap::value_parser!(u64).range(..u64::MAX))]
    seed: Option<u64>,
    /// The seeds from A to B, without B.
    #[arg(long, value_name = "A..B", value_parser = seeds, default_value = "0..20")]
    seeds: Seeds,
    /// Where the seeds are run: in the core world every one, on turmoil as whole servers a share of them. Absent: both.
    #[arg(long, value_enum)]
    world: Option<WorldName>,
    /// How many of the seeds are run on turmoil too: one in so many, and the first.
    #[arg(long, value_name = "1/N", value_parser = share, default_value = "1/20",
        conflicts_with = "world")]
    turmoil_share: Share,
    /// Runs the K-th of N parts of the seeds, so that several machines share a campaign.
    #[arg(long, value_name = "K/N", value_parser = shard)]
    shard: Option<Shard>,
    /// How many seeds run at once; as many as there are processors where it is absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// How to print the results.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Writes the results as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Writes what was seen in the run of one seed, an event a line.
    #[arg(long, value_name = "FILE", requires = "seed")]
    history: Option<PathBuf>,
    /// The date at which the runs start: RFC 3339, in UTC.
    #[arg(long, value_name = "DATE")]
    date: Option<Timestamp>,
    /// Breaks one line of the product on purpose, to see that it is noticed.
    #[arg(long, value_name = "NAME", value_parser = mutant, hide = !HAS_MUTANTS)]
    mutant: Option<Mutant>,
}

/// A range of seeds.
#[derive(Clone, Debug)]
struct Seeds(std::ops::Range<u64>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Human,
    /// One JSON document.
    Json,
    /// Workflow commands of a pull request.
    Github,
}

/// One seed in so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share(u64);

/// The part of a campaign that this process runs, from 0, and of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard(u64, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WorldName {
    /// The state machines alone.
    Core,
    /// Whole servers on simulated TCP.
    Turmoil,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// For people.
    Human,
    /// One JSON document.
    Json,
}

fn seeds(text: &str) -> Result<Seeds, String> {
    let wrong = || "seeds are a range like `0..100`, its end left out".to_owned();
    let (first, end) = text.split_once("..").ok_or_else(wrong)?;
    let range = first.parse().map_err(|_| wrong())?..end.parse().map_err(|_| wrong())?;
    if range.is_empty() {
        return Err("there is no seed in this range".into());
    }
    if range.end - range.start > SEEDS_MAX {
        return Err(format!("these are more than {SEEDS_MAX} seeds: run them in parts"));
    }
    Ok(Seeds(range))
}

fn share(text: &str) -> Result<Share, String> {
    let one_in = text.strip_prefix("1/").and_then(|number| number.parse().ok());
    let one_in = one_in.filter(|one_in| *one_in > 0);
    one_in.map(Share).ok_or_else(|| "a share is one in so many, like `1/20`".to_owned())
}

fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(k, n)| Some((k.parse::<u64>().ok()?, n.parse::<u64>().ok()?)));
    match numbers {
        Some((k, n)) if (1..=n).contains(&k) => Ok(Shard(k - 1, n)),
        _ => Err("a shard is one of so many, like `1/4`".to_owned()),
    }
}

/// The mutant of this name, where this program has them.
pub(crate) fn mutant(name: &str) -> Result<Mutant, String> {
    if !HAS_MUTANTS {
        return Err(
            "this program was built without mutants: build it with `--features mutants`".into()
        );
    }
    Mutant::from_name(name).ok_or_else(|| {
        let all: Vec<_> = Mutant::ALL.iter().map(|one| one.name()).collect();
        format!("there is no such mutant, but {}", all.join(", "))
    })
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// A scenario that is neither built in nor a file.
    #[error(
        "`{0}` is no built-in scenario and no file: `tandem-sim list` names those that are built in"
    )]
    NoScenario(String),
    /// A file cannot be read.
    #[error("{}: {error}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// One file for what was seen in many runs.
    #[error(
        "{}: `--history` takes the run of one scenario, and there are several in this folder: name one of them",
        .0.display()
    )]
    Histories(PathBuf),
    /// A part of a campaign that is empty.
    #[error("no seed of this range is in this part of it: there are fewer seeds than parts")]
    NoSeeds,
    /// A folder without scenarios.
    #[error("{}: there is no scenario (`*.yaml`) in this folder", .0.display())]
    Empty(PathBuf),
    /// A scenario that cannot be run.
    #[error("{name}: {error}")]
    Scenario {
        /// The scenario.
        name: String,
        /// Why.
        error: crate::scenario::ScenarioError,
    },
    /// A scenario that asks a world for more than it can do.
    #[error("{name}: whole servers on turmoil cannot do `{fault}`: run it with `--world core`")]
    World {
        /// The scenario.
        name: String,
        /// What it asks for.
        fault: &'static str,
    },
    /// A recorded run that cannot be run again.
    #[error("{}: {error}", .file.display())]
    Recorded {
        /// The file.
        file: PathBuf,
        /// Why.
        error: crate::regression::RegressionError,
    },
    /// A configuration that cannot be simulated.
    #[error(transparent)]
    Subject(#[from] crate::subject::SubjectError),
}

/// Runs the program with the arguments of this process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            return ExitCode::from(if error.print().is_ok() { code } else { UNWRITTEN });
        }
    };
    let done = match cli.verb {
        Verb::List { format } => list(format).map(|()| Verdict::Held),
        Verb::Explore(args) => match explore::run(&args) {
            Ok((text, verdict)) => print(&text).map(|()| verdict),
            Err(failure) => {
                say(&format!("error: {failure}\n"));
                return ExitCode::from(USAGE);
            }
        },
        Verb::Check(args) => match check(&args) {
            Ok(checked) => {
                let verdict = if checked.holds() { Verdict::Held } else { Verdict::Violated };
                print(&checked.report()).map(|()| verdict)
            }
            Err(trouble) => return unusable(&trouble),
        },
        Verb::Fuzz(args) => match crate::fuzz::setups(args.manifest.as_deref(), args.mode()) {
            Ok(setups) => fuzz::run(&args, &setups),
            Err(trouble) => return unusable(&trouble),
        },
        Verb::Replay(args) => match recorded::read(&args.file) {
            Ok((regression, setup)) => recorded::replay(&args, &regression, &setup),
            Err(trouble) => return unusable(&trouble),
        },
        Verb::Shrink(args) => match recorded::read(&args.file) {
            Ok((regression, setup)) => recorded::shrink(&args, regression, &setup),
            Err(trouble) => return unusable(&trouble),
        },
        Verb::Mutants(args) => match mutants::run(&args) {
            Ok(done) => done,
            Err(trouble) => return unusable(&trouble),
        },
        Verb::Run(args) => match prepared(&args).and_then(|ready| mutated(&args, ready)) {
            Ok(prepared) => run_all(&args, &prepared),
            Err(trouble) => return unusable(&trouble),
        },
    };
    match done {
        Ok(verdict) => ExitCode::from(verdict.exit_code()),
        Err(error) => {
            say(&format!("error: the results cannot be written: {error}\n"));
            ExitCode::from(UNWRITTEN)
        }
    }
}

/// Says why nothing was run.
fn unusable(trouble: &dyn std::fmt::Display) -> ExitCode {
    say(&format!("error: {trouble}\n"));
    ExitCode::from(USAGE)
}

fn print(text: &str) -> io::Result<()> {
    let mut stream = anstream::stdout().lock();
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// Writes a file; the error names it.
fn write(file: &Path, text: &str) -> io::Result<()> {
    std::fs::write(file, text)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
}

/// Says something beside the results. Standard error may be gone, and then nobody listens.
pub(crate) fn say(text: &str) {
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

fn list(format: ListFormat) -> io::Result<()> {
    let scenarios: Vec<(&str, String)> = Builtin::all()
        .iter()
        .map(|builtin| {
            let about = Scenario::parse(builtin.text).ok().and_then(|scenario| scenario.about);
            (builtin.name, about.unwrap_or_default())
        })
        .collect();
    if format == ListFormat::Json {
        let scenarios: Vec<_> = scenarios
            .iter()
            .map(|(name, about)| serde_json::json!({"scenario": name, "about": about}))
            .collect();
        return print(&pretty(&serde_json::json!({"schema": 1, "scenarios": scenarios})));
    }
    let width = scenarios.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = scenarios.iter().map(|(name, about)| format!("{name:width$}  {about}\n"));
    print(&lines.collect::<String>())
}

fn pretty(value: &serde_json::Value) -> String {
    // A value of strings and numbers always has a text.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// The text of a file.
fn read(file: &Path) -> Result<String, Trouble> {
    let text = std::fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => io::Error::new(error.kind(), "this is no text in UTF-8"),
        _ => error,
    });
    text.map_err(|error| Trouble::Read { file: file.to_owned(), error })
}

/// A scenario that is ready to run.
struct Prepared {
    name: String,
    setup: Setup,
    /// Which seeds are run where.
    seeds: Vec<(u64, World)>,
}

fn prepared(args: &RunArgs) -> Result<Vec<Prepared>, Trouble> {
    let path = Path::new(&args.scenario);
    if let Some(builtin) = builtin(&args.scenario) {
        return Ok(vec![one(args, builtin.name, builtin.text, None)?]);
    }
    if path.is_file() {
        return Ok(vec![one(args, &args.scenario, &read(path)?, Some(path))?]);
    }
    if !path.is_dir() {
        return Err(Trouble::NoScenario(args.scenario.clone()));
    }
    let failed = |error| Trouble::Read { file: path.to_owned(), error };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let is_hidden =
            file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && file.extension().is_some_and(|end| end == "yaml" || end == "yml") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Trouble::Empty(path.to_owned()));
    }
    if args.history.is_some() && files.len() > 1 {
        return Err(Trouble::Histories(path.to_owned()));
    }
    files
        .iter()
        .map(|file| one(args, &file.display().to_string(), &read(file)?, Some(file)))
        .collect()
}

fn one(args: &RunArgs, name: &str, text: &str, file: Option<&Path>) -> Result<Prepared, Trouble> {
    let wrong = |error| Trouble::Scenario { name: name.to_owned(), error };
    let scenario = Scenario::parse(text).map_err(wrong)?;
    let beside = |path: &String| file.and_then(Path::parent).unwrap_or(Path::new("")).join(path);
    let date = args.date.or(scenario.date);
    let subject = match (&args.manifest, &scenario.manifest) {
        (Some(manifest), _) => Subject::load(manifest, date)?,
        (None, Some(manifest)) => Subject::load(&beside(manifest), date)?,
        (None, None) => Subject::example(date)?,
    };
    let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
    let setup = Setup::of(&scenario, subject, folder).map_err(|error| match error {
        SetupError::Scenario(error) => wrong(error),
        SetupError::Subject(error) => error.into(),
    })?;
    if let Some(fault) = setup.plan.needs_core()
        && args.world == Some(WorldName::Turmoil)
    {
        return Err(Trouble::World { name: name.to_owned(), fault });
    }
    let setup = if args.history.is_some() { setup.keeping_history() } else { setup };
    let seeds = seeds_of(args, &setup);
    if seeds.is_empty() {
        return Err(Trouble::NoSeeds);
    }
    Ok(Prepared { name: scenario.scenario, setup, seeds })
}

/// Chooses the mutant. Its own vendor then signs the licenses: one that changes what a signature is about would
/// take no license of before.
fn mutated(args: &RunArgs, mut prepared: Vec<Prepared>) -> Result<Vec<Prepared>, Trouble> {
    let Some(mutant) = args.mutant else { return Ok(prepared) };
    tandem::mutant::choose(mutant);
    for Prepared { setup, .. } in &mut prepared {
        *setup = setup.reissued()?;
    }
    Ok(prepared)
}

fn run_all(args: &RunArgs, prepared: &[Prepared]) -> io::Result<Verdict> {
    let jobs = jobs(args.jobs);
    let progress = progress(prepared.iter().map(|one| one.seeds.len()).sum::<usize>() as u64);
    let lines = Lines::default();
    let interrupt = Interrupt::listen()?;
    let mut campaigns = Vec::new();
    for (at, Prepared { name, setup, seeds }) in prepared.iter().enumerate() {
        progress.set_message(name.clone());
        let run = |seed, world| match world {
            World::Core => core_world::run(setup, seed),
            World::Turmoil => turmoil_world::run(setup, seed),
        };
        let done = |_: &Run| {
            progress.inc(1);
            lines.beside(&progress, |seconds| {
                let (seeds, of) = (progress.position(), prepared.len());
                format!("{seeds} seeds in {seconds} s, now {name}, scenario {} of {of}\n", at + 1)
            });
            !interrupt.came()
        };
        let runs = campaign(seeds, jobs, &run, &done);
        campaigns.push(Campaign {
            scenario: name.clone(),
            subject: setup.subject.name.clone(),
            bundle: setup.subject.bundle.hash().to_string(),
            promises: setup.plan.promises.clone(),
            command: Command::Seeds(command(args, name, prepared.len())),
            notes: notes(setup),
            runs,
        });
        if interrupt.came() {
            break;
        }
    }
    // Clearing it moves it to its end.
    let (done, of) = (progress.position(), progress.length().unwrap_or(0));
    progress.finish_and_clear();
    // First what is seen at once: a file that cannot be written does not take it along.
    match args.format {
        Format::Human => print(&human(&campaigns))?,
        Format::Json => print(&pretty(&json(&campaigns)))?,
        Format::Github => print(&github(&campaigns))?,
    }
    if let Some(file) = &args.junit {
        write(file, &junit(&campaigns))?;
    }
    if let (Some(file), Some(run)) = (&args.history, last(&campaigns)) {
        write(file, &history::write(&run.entries)?)?;
    }
    if done == of {
        return Ok(verdict(&campaigns));
    }
    say(&format!("interrupted: {done} of {of} seeds were run\n"));
    Ok(verdict(&campaigns).max(Verdict::Interrupted))
}

/// How many runs at once.
pub(crate) fn jobs(wanted: Option<u16>) -> usize {
    wanted.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        usize::from,
    )
}

/// Which seeds of a scenario are run where.
fn seeds_of(args: &RunArgs, setup: &Setup) -> Vec<(u64, World)> {
    let range = match args.seed {
        Some(seed) => seed..seed.saturating_add(1),
        None => args.seeds.0.clone(),
    };
    let first = range.start;
    let mut jobs = match args.world {
        None => both_worlds(range, args.turmoil_share.0),
        Some(WorldName::Core) => range.map(|seed| (seed, World::Core)).collect(),
        Some(WorldName::Turmoil) => range.map(|seed| (seed, World::Turmoil)).collect(),
    };
    if setup.plan.needs_core().is_some() {
        jobs.retain(|(_, world)| *world == World::Core);
    }
    if let Some(Shard(part, parts)) = args.shard {
        jobs.retain(|(seed, _)| (seed - first) % parts == part);
    }
    jobs
}

/// What a person should know before they read the results.
fn notes(setup: &Setup) -> Vec<String> {
    let mut notes = setup.subject.notes();
    if let Some(fault) = setup.plan.needs_core() {
        notes.push(format!(
            "whole servers on turmoil cannot do `{fault}`: every seed is in the core world alone"
        ));
    }
    notes
}

fn last(campaigns: &[Campaign]) -> Option<&Run> {
    campaigns.last().and_then(|campaign| campaign.runs.last())
}

/// The command that replays a seed of a scenario, but for the seed.
fn command(args: &RunArgs, scenario: &str, scenarios: usize) -> String {
    let what = if scenarios == 1 {
        args.scenario.clone()
    } else {
        format!("{}/{scenario}.yaml", args.scenario)
    };
    let mut command = format!("tandem-sim run {}", quoted(&what));
    if let Some(manifest) = &args.manifest {
        command += &format!(" --manifest {}", quoted(&manifest.display().to_string()));
    }
    if let Some(date) = args.date {
        command += &format!(" --date {date}");
    }
    if let Some(mutant) = args.mutant {
        command += &format!(" --mutant {}", mutant.name());
    }
    command
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=@%:,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Seeds per second while it runs, on a terminal.
fn progress(total: u64) -> ProgressBar {
    progress::bar(Some(total), "{msg} {wide_bar} {pos}/{len} seeds, {per_sec}, {eta} left")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_args(words: &[&str]) -> Result<RunArgs, clap::Error> {
        let words = ["tandem-sim", "run"].iter().chain(words);
        Cli::try_parse_from(words).map(|cli| match cli.verb {
            Verb::Run(args) => args,
            _ => unreachable!("run was given"),
        })
    }

    #[test]
    fn a_range_of_seeds_leaves_its_end_out() {
        let args = run_args(&["failover", "--seeds", "3..5"]).expect("it is well");
        assert_eq!(args.seeds.0.collect::<Vec<_>>(), [3, 4]);
        for words in [
            ["failover", "--seeds", "5..5"],
            ["failover", "--seeds", "5"],
            ["failover", "--jobs", "0"],
            ["failover", "--date", "tomorrow"],
            ["failover", "--history", "x"],
        ] {
            assert!(run_args(&words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn the_replay_command_says_everything_but_the_seed() {
        let args = run_args(&["failover", "--manifest", "a b.yaml"]).expect("it is well");
        assert_eq!(command(&args, "failover", 1), "tandem-sim run failover --manifest 'a b.yaml'");
        let args = run_args(&["dir"]).expect("it is well");
        assert_eq!(command(&args, "failover", 2), "tandem-sim run dir/failover.yaml");
    }

    #[test]
    fn what_is_no_scenario_is_said_so() {
        let args = run_args(&["no-such"]).expect("it is well");
        let trouble = prepared(&args).err().expect("there is none").to_string();
        assert!(trouble.starts_with("`no-such` is no built-in scenario"), "{trouble}");
    }

    #[test]
    fn every_built_in_scenario_runs_on_the_example() {
        for builtin in Builtin::all() {
            let args = run_args(&[builtin.name]).expect("it is well");
            assert!(prepared(&args).is_ok_and(|ready| ready.len() == 1), "{}", builtin.name);
        }
    }
}
