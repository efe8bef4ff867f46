//! `fuzz`: runs in which everything is drawn, until the time is over.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use serde_json::{Value, json};
use tandem::manifest::types::Mode;
use tandem::measure::Span;
use tandem::mutant::{self, Mutant};
use tandem::seam::World;

use super::interrupt::Interrupt;
use super::mode::ModeArg;
use super::progress::Lines;
use super::{Format, HAS_MUTANTS, mutant, pretty, print, quoted, say, write};
use crate::fuzz::{Failed, Found, fuzz};
use crate::run::{Run, Verdict};
use crate::world::core_world::States;
use crate::world::setup::Setup;

/// The version of the report's form.
const SCHEMA: u32 = 1;

/// What `fuzz` takes.
#[derive(Debug, Args)]
pub(super) struct FuzzArgs {
    /// For how long: `30s`, `10m`.
    #[arg(long = "for", value_name = "DURATION")]
    lasts: Span,
    /// How many seeds run at once; as many as there are processors where it is absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// The first seed.
    #[arg(long, value_name = "S", default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(..u64::MAX))]
    seed: u64,
    /// The manifest to simulate, instead of the example with few seats.
    #[arg(long, value_name = "FILE")]
    pub(super) manifest: Option<PathBuf>,
    /// The redundancy mode. Absent: the manifest's own; without a manifest, each seed the other one.
    #[arg(long, value_enum)]
    mode: Option<ModeArg>,
    /// Where failures are written, each a file that `replay` takes.
    #[arg(long, value_name = "DIR", default_value = "sim/regressions")]
    out: PathBuf,
    /// How to print the results.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Breaks one line of the product on purpose, to learn which faults show it.
    #[arg(long, value_name = "NAME", value_parser = mutant, hide = !HAS_MUTANTS)]
    mutant: Option<Mutant>,
}

impl FuzzArgs {
    /// The mode that is asked for.
    pub(super) fn mode(&self) -> Option<Mode> {
        self.mode.map(Mode::from)
    }
}

/// Fuzzes, writes what failed, prints what was found.
pub(super) fn run(args: &FuzzArgs, setups: &[Setup]) -> io::Result<Verdict> {
    args.mutant.into_iter().for_each(mutant::choose);
    can_keep(&args.out)?;
    let interrupt = Interrupt::listen()?;
    let clock = World::real().clock;
    let end = clock.now().moment + args.lasts;
    let jobs = super::jobs(args.jobs);
    let manifest = args.manifest.as_ref().map(|path| path.display().to_string());
    let count = AtomicU64::new(0);
    let goes_on = || clock.now().moment < end && !interrupt.came();
    let begun = clock.now().moment;
    let lines = Lines::default();
    let done = |run: &Run| {
        let seeds = count.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((oracle, at, what)) = run.failed_oracle() {
            say(&format!("seed {}: {oracle}, at {at}ms: {what}\n", run.seed));
        }
        let elapsed = clock.now().moment.since(begun).to_std();
        if lines.is_due(elapsed) {
            say(&format!("{seeds} seeds in {} s\n", elapsed.as_secs()));
        }
    };
    let found = fuzz(setups, manifest.as_deref(), args.seed, jobs, &goes_on, &done);
    let took = clock.now().moment.since(begun);
    let mut files = Vec::new();
    for failed in &found.failed {
        files.push(match &failed.regression {
            Some(regression) => Some(kept(&args.out, failed, &regression.write()?)?),
            None => None,
        });
    }
    match args.format {
        Format::Json => print(&pretty(&report(&found, &files)))?,
        Format::Human | Format::Github => print(&told(&found, &files, took))?,
    }
    let verdict = match found.failed.iter().map(|failed| failed.oracle.as_str()).max() {
        None => Verdict::Held,
        _ if found.failed.iter().any(|failed| failed.oracle == "simulator") => Verdict::Failed,
        _ if found.failed.iter().all(|failed| failed.oracle == "converge") => Verdict::Unsettled,
        Some(_) => Verdict::Violated,
    };
    Ok(if interrupt.came() { verdict.max(Verdict::Interrupted) } else { verdict })
}

/// Finds out before the work whether its failures can be written: by a file in the folder, or in the one that it will be
/// made in.
fn can_keep(folder: &Path) -> io::Result<()> {
    let wrong =
        |what: &dyn std::fmt::Display| io::Error::other(format!("{}: {what}", folder.display()));
    let absolute = std::path::absolute(folder)?;
    let Some(there) = absolute.ancestors().find(|place| place.exists()) else {
        return Err(wrong(&"there is no such place"));
    };
    if !there.is_dir() {
        return Err(wrong(&format!("{} is no folder", there.display())));
    }
    let probe = there.join(format!(".tandem-sim-{}", std::process::id()));
    std::fs::write(&probe, "")
        .and_then(|()| std::fs::remove_file(&probe))
        .map_err(|error| wrong(&error))
}

fn kept(folder: &Path, failed: &Failed, text: &str) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let file = folder.join(format!("{}-{}-{}.json", failed.mode, failed.oracle, failed.seed));
    write(&file, text)?;
    say(&format!("{}: written\n", file.display()));
    Ok(file)
}

fn command(failed: &Failed, file: Option<&PathBuf>) -> String {
    match file {
        Some(file) => format!("tandem-sim replay {}", quoted(&file.display().to_string())),
        None => {
            let Failed { mode, seed, .. } = failed;
            format!("tandem-sim fuzz --mode {mode} --seed {seed} --for 1ms --jobs 1")
        }
    }
}

fn report(found: &Found, files: &[Option<PathBuf>]) -> Value {
    let failed: Vec<_> = found
        .failed
        .iter()
        .zip(files)
        .map(|(failed, file)| {
            json!({
                "seed": failed.seed,
                "world": "core",
                "mode": failed.mode,
                "oracle": failed.oracle,
                "at": failed.at,
                "what": failed.what,
                "replay": command(failed, file.as_ref()),
            })
        })
        .collect();
    let cell = |(one, other, link)| json!({"primary": one, "secondary": other, "link": link});
    let states: Vec<_> = found.states.seen().map(cell).collect();
    let missing: Vec<_> = found.states.missing().map(cell).collect();
    json!({
        "schema": SCHEMA,
        "world": "core",
        "seeds": found.seeds,
        "modes": found.modes,
        "passed": found.seeds - found.failed.len() as u64,
        "failed": failed,
        "simulatedMs": found.simulated_ms,
        "unseen": found.unseen().map(tandem::seen::Mark::name).collect::<Vec<_>>(),
        "states": states,
        "statesUnseen": missing,
    })
}

fn told(found: &Found, files: &[Option<PathBuf>], took: Span) -> String {
    let modes = found.modes.iter().map(|(mode, seeds)| format!("{seeds} in {mode}"));
    let modes = modes.collect::<Vec<_>>().join(", ");
    let rate = found.seeds.saturating_mul(1_000) / took.ms().max(1);
    let mut text = format!(
        "{} seeds in the core world ({modes}), {rate} a second, {} hours simulated, {} failed\n",
        found.seeds,
        found.simulated_ms / 3_600_000,
        found.failed.len()
    );
    text.push('\n');
    table(&mut text, found.states);
    let unseen: Vec<_> = found.unseen().map(tandem::seen::Mark::name).collect();
    if !unseen.is_empty() {
        let _ = writeln!(text, "\nnever reached: {}", unseen.join(", "));
    }
    for (failed, file) in found.failed.iter().zip(files) {
        if file.is_some() || failed.oracle == "simulator" {
            let _ = writeln!(
                text,
                "\n{} in {}, seed {}, at {}ms: {}\n  replay: {}",
                failed.oracle,
                failed.mode,
                failed.seed,
                failed.at,
                failed.what,
                command(failed, file.as_ref())
            );
        }
    }
    text
}

/// State of the primary by state of the secondary: how the link was seen to be (up, down, cut).
fn table(text: &mut String, states: States) {
    let words = States::words();
    let _ = write!(text, "{:13}", "");
    for word in words {
        let _ = write!(text, "{word:>14}");
    }
    text.push('\n');
    let mut reasons: Vec<&str> = Vec::new();
    for one in words {
        let _ = write!(text, "{one:13}");
        for other in words {
            let cell: String = [("up", 'u'), ("down", 'd'), ("cut", 'c')]
                .into_iter()
                .map(|(link, letter)| match States::unreachable(one, other, link) {
                    _ if states.has(one, other, link) => letter,
                    None => '.',
                    Some(why) => {
                        if !reasons.contains(&why) {
                            reasons.push(why);
                        }
                        '-'
                    }
                })
                .collect();
            let _ = write!(text, "{cell:>14}");
        }
        text.push('\n');
    }
    text.push_str(
        "\na row a state of the primary, a column a state of the secondary; the two were u connected, d not\n\
         connected, c cut off from each other; . was not seen, - cannot be:\n",
    );
    for why in reasons {
        let _ = writeln!(text, "  {why}");
    }
    let missing: Vec<_> =
        states.missing().map(|(one, other, link)| format!("{one}/{other} {link}")).collect();
    if !missing.is_empty() {
        let _ = writeln!(text, "not seen: {}", missing.join(", "));
    }
}
