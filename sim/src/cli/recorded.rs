//! `replay` and `shrink`: what is done with a recorded run.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use tandem::mutant::{self, Mutant};

use super::{HAS_MUTANTS, Trouble, mutant, print, say, write};
use crate::history;
use crate::regression::Regression;
use crate::report::{Campaign, Command, human};
use crate::run::Verdict;
use crate::world::setup::Setup;

/// What `replay` takes.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The recorded run.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Writes what was seen in it, an event a line.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Breaks one line of the product on purpose, as it was when the run was recorded.
    #[arg(long, value_name = "NAME", value_parser = mutant, hide = !HAS_MUTANTS)]
    mutant: Option<Mutant>,
}

/// What `shrink` takes.
#[derive(Debug, Args)]
pub(super) struct ShrinkArgs {
    /// The recorded run.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Where to write what is left. Absent: in its place.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A recorded run and what it runs.
pub(super) fn read(file: &Path) -> Result<(Regression, Setup), Trouble> {
    let text = super::read(file)?;
    let wrong = |error| Trouble::Recorded { file: file.to_owned(), error };
    let regression = Regression::read(&text).map_err(wrong)?;
    let setup = regression.setup().map_err(wrong)?;
    Ok((regression, setup.keeping_history()))
}

/// Runs a recorded run again.
pub(super) fn replay(
    args: &ReplayArgs,
    regression: &Regression,
    setup: &Setup,
) -> io::Result<Verdict> {
    args.mutant.into_iter().for_each(mutant::choose);
    let (run, made) = regression.replay(setup);
    if let Some(at) = regression.misfit(&made) {
        let count = regression.choices.len();
        say(&format!(
            "note: this is not the run that was recorded: choice {at} of {count} does not fit what this program asks for\n"
        ));
    }
    if let Some(file) = &args.history {
        write(file, &history::write(&run.entries)?)?;
    }
    let campaign = Campaign {
        scenario: regression.scenario.as_ref().map_or("fuzz", |one| &one.scenario).to_owned(),
        subject: setup.subject.name.clone(),
        bundle: setup.subject.bundle.hash().to_string(),
        promises: setup.plan.promises.clone(),
        command: Command::Recorded(format!(
            "tandem-sim replay {}",
            super::quoted(&args.file.display().to_string())
        )),
        notes: setup.subject.notes(),
        runs: vec![run],
    };
    let verdict = campaign.verdict();
    print(&human(&[campaign]))?;
    Ok(verdict)
}

/// Shrinks a recorded run.
pub(super) fn shrink(
    args: &ShrinkArgs,
    regression: Regression,
    setup: &Setup,
) -> io::Result<Verdict> {
    let before = regression.choices.len();
    let (run, _) = regression.replay(setup);
    // What it breaks here and now counts, not what it broke for whoever wrote it.
    let choices = regression.choices();
    let shrunk = regression.with(&run, &choices).shrunk(setup);
    let Some(oracle) = &shrunk.oracle else {
        say("nothing is broken by this run: there is nothing to shrink\n");
        return Ok(Verdict::Held);
    };
    say(&format!("{oracle}: {} of {before} choices are left\n", shrunk.choices.len()));
    write(args.out.as_ref().unwrap_or(&args.file), &shrunk.write()?)?;
    Ok(run.verdict())
}
