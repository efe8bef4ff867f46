//! What is run, in either world: a configuration, what is done to it, and what all runs of it share.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::scenario::{Action, Plan, Scenario, ScenarioError};
use crate::subject::{Subject, SubjectError};
use crate::world::core_world::Ground;

/// What is run: a configuration, what is done to it, and what its reloads apply, in the order of the plan.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The configuration at the begin.
    pub subject: Subject,
    /// What is done.
    pub plan: Plan,
    /// What each reload of the plan applies.
    pub reloads: Vec<Subject>,
    /// Which of them are of use only at a certain time, for runs in which everything is drawn.
    pub timed: Option<Timed>,
    /// Whether the history is kept though all is well.
    pub keeps_history: bool,
    /// What every run in the core world shares, made by the first.
    ground: OnceLock<Result<Arc<Ground>, String>>,
}

/// Why a scenario cannot be run on a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// It does not fit.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// What it reloads cannot be simulated.
    #[error(transparent)]
    Subject(#[from] SubjectError),
}

/// The places of bundles that only make sense at a certain time; those before them may be applied at any.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// One that adds an operator.
    pub adds_operator: usize,
    /// One that the added operator signs.
    pub by_added: usize,
    /// The first one with its roles swapped.
    pub swapped: usize,
}

impl Setup {
    /// A scenario on a configuration. Manifests that it reloads are read from this folder.
    ///
    /// # Errors
    /// It does not fit, or what it reloads cannot be simulated.
    pub fn of(scenario: &Scenario, subject: Subject, folder: &Path) -> Result<Self, SetupError> {
        let in_mode = |subject: Subject| match scenario.mode {
            Some(mode) => subject.in_mode(mode),
            None => Ok(subject),
        };
        let subject = in_mode(subject)?;
        let plan = scenario.plan(&subject.manifest)?;
        let mut reloads = Vec::new();
        let mut is_by_added = false;
        for (_, action) in &plan.actions {
            let Action::Reload(reload) = action else { continue };
            let next = match &reload.manifest {
                Some(manifest) => {
                    in_mode(Subject::load(&folder.join(manifest), Some(subject.start))?)?
                }
                None => subject.reloaded(reload)?,
            };
            reloads.push(Subject { is_by_added, ..next });
            is_by_added |= reload.add_operator;
        }
        Ok(Self::new(subject, plan, reloads))
    }

    /// The same with licenses that its own vendor signs: a mutant that changes what a signature is about would take
    /// none of before.
    ///
    /// # Errors
    /// There is no bundle of it.
    pub fn reissued(&self) -> Result<Self, SubjectError> {
        let reloads: Result<Vec<_>, _> = self.reloads.iter().map(Subject::reissued).collect();
        let reissued = Self::new(self.subject.reissued()?, self.plan.clone(), reloads?);
        Ok(Self { keeps_history: self.keeps_history, timed: self.timed, ..reissued })
    }

    /// A configuration and what is done to it.
    #[must_use]
    pub fn new(subject: Subject, plan: Plan, reloads: Vec<Subject>) -> Self {
        Self { subject, plan, reloads, timed: None, keeps_history: false, ground: OnceLock::new() }
    }

    /// The same, keeping the history of every run.
    #[must_use]
    pub fn keeping_history(self) -> Self {
        Self { keeps_history: true, ..self }
    }

    /// What every run in the core world shares.
    ///
    /// # Errors
    /// What the plan offers cannot be made.
    pub(crate) fn ground(&self) -> Result<Arc<Ground>, String> {
        self.ground.get_or_init(|| Ground::of(self).map(Arc::new)).clone()
    }
}
