//! A run that broke a promise, as a file: the choices and not the seed, so that it outlives changes of the code. One
//! format for what `fuzz` finds, what `replay` and `shrink` read, and what is kept in `regressions/`.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tandem::manifest::types::Mode;
use tandem::measure::Timestamp;

use crate::fuzz;
use crate::run::Run;
use crate::scenario::Scenario;
use crate::seed::Choice;
use crate::subject::{Subject, SubjectError};
use crate::world::core_world;
use crate::world::setup::{Setup, SetupError};

/// The version of this file's form.
const SCHEMA: u32 = 1;

/// A recorded run of the core world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Regression {
    /// The version of this file's form.
    pub schema: u32,
    /// The scenario; absent: what happens is among the choices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<Scenario>,
    /// The manifest, from where the program was run; absent: the scenario's own, or the built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The redundancy mode, where there is no scenario; absent: the manifest's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The date at which the run starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Timestamp>,
    /// The seed that it came from: random bytes that are no decision are drawn from it.
    pub seed: u64,
    /// What it broke, in the program that wrote it: a promise, `expect` or `converge`. Absent where nothing may break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oracle: Option<String>,
    /// What was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// The choices: each how many possibilities there were, which was taken, and what was decided.
    pub choices: Vec<(u64, u64, String)>,
}

/// Why a recorded run cannot be run again.
#[derive(Debug, thiserror::Error)]
pub enum RegressionError {
    /// The file is none.
    #[error("this is no recorded run: {0}")]
    Shape(#[from] serde_json::Error),
    /// It was written by a later version.
    #[error("this recorded run has form {0}: use a newer tandem-sim")]
    Newer(u32),
    /// Its scenario does not fit, or what that reloads cannot be simulated.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Its configuration cannot be simulated.
    #[error(transparent)]
    Subject(#[from] SubjectError),
}

impl Regression {
    /// What a run of `fuzz` made.
    #[must_use]
    pub fn of_fuzz(
        manifest: Option<String>,
        mode: Mode,
        seed: u64,
        run: &Run,
        choices: &[Choice],
    ) -> Self {
        let new = Self {
            schema: SCHEMA,
            scenario: None,
            manifest,
            mode: Some(mode),
            date: None,
            seed,
            oracle: None,
            what: None,
            choices: Vec::new(),
        };
        new.with(run, choices)
    }

    /// The same with other choices, and what came of them.
    #[must_use]
    pub fn with(self, run: &Run, choices: &[Choice]) -> Self {
        let failed = run.failed_oracle();
        let written = |choice: &Choice| (choice.of, choice.chosen, choice.label.to_string());
        Self {
            oracle: failed.map(|(oracle, _, _)| oracle.to_owned()),
            what: failed.map(|(_, _, what)| what.to_owned()),
            choices: choices.iter().map(written).collect(),
            ..self
        }
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// It is no recorded run, or one of a later version.
    pub fn read(text: &str) -> Result<Self, RegressionError> {
        let regression: Self = serde_json::from_str(text)?;
        if regression.schema > SCHEMA {
            return Err(RegressionError::Newer(regression.schema));
        }
        Ok(regression)
    }

    /// The text of the file: a choice a line.
    ///
    /// # Errors
    /// It has no JSON form, which is a bug.
    pub fn write(&self) -> serde_json::Result<String> {
        let head = Self { choices: Vec::new(), ..self.clone() };
        let text = serde_json::to_string_pretty(&head)?;
        let lines: serde_json::Result<Vec<_>> =
            self.choices.iter().map(serde_json::to_string).collect();
        let lines = lines?.join(",\n    ");
        Ok(text.replace("\"choices\": []", &format!("\"choices\": [\n    {lines}\n  ]")) + "\n")
    }

    /// The recorded choices.
    #[must_use]
    pub fn choices(&self) -> Vec<Choice> {
        let choice = |(of, chosen, label): &(u64, u64, String)| Choice {
            label: Cow::Owned(label.clone()),
            of: *of,
            chosen: *chosen,
        };
        self.choices.iter().map(choice).collect()
    }

    /// The first of its choices, from 1, that is not what a run of it decided, beside what was not asked then.
    #[must_use]
    pub fn misfit(&self, made: &[Choice]) -> Option<usize> {
        let mut made = made.iter();
        let is_other = |(of, chosen, label): &(u64, u64, String)| {
            let same = made.find(|made| made.label == *label || made.chosen > 0);
            same.is_none_or(|made| {
                (made.of, made.chosen, made.label.as_ref()) != (*of, *chosen, label.as_str())
            })
        };
        self.choices.iter().position(is_other).map(|at| at + 1)
    }

    /// What is run.
    ///
    /// # Errors
    /// Its scenario or its configuration cannot be simulated.
    pub fn setup(&self) -> Result<Setup, RegressionError> {
        let Some(scenario) = &self.scenario else {
            return Ok(fuzz::setup(self.manifest.as_deref().map(Path::new), self.mode)?);
        };
        let subject = match &self.manifest {
            Some(manifest) => Subject::load(Path::new(manifest), self.date)?,
            None => Subject::example(self.date)?,
        };
        Ok(Setup::of(scenario, subject, Path::new(""))?)
    }

    /// Runs it again; gives the choices that were made.
    #[must_use]
    pub fn replay(&self, setup: &Setup) -> (Run, Vec<Choice>) {
        core_world::replay_exactly(setup, self.seed, self.choices())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_run_reads_back_as_written_and_gives_the_same_trace() {
        let setup = fuzz::setup(None, Some(Mode::Escrow)).expect("it is well");
        let (run, choices) = core_world::run_recorded(&setup, 3);
        let regression = Regression::of_fuzz(None, Mode::Escrow, 3, &run, &choices);
        assert_eq!(regression.misfit(&choices), None);
        assert_eq!(regression.misfit(&choices[..4]), Some(5));
        let mut asks_more = choices.clone();
        asks_more.insert(3, Choice { label: "new".into(), of: 4, chosen: 0 });
        assert_eq!(regression.misfit(&asks_more), None);
        asks_more[3].chosen = 1;
        assert_eq!(regression.misfit(&asks_more), Some(4));
        let text = regression.write().expect("it has a text");
        let read = Regression::read(&text).expect("it reads");
        assert_eq!(read, regression);
        assert_eq!(read.replay(&setup).0.trace, run.trace);
    }
}
