//! What is run, in either world: a configuration, what is done to it, and what all runs of it share.

use std::sync::{Arc, OnceLock};

use crate::scenario::Plan;
use crate::subject::Subject;
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
    /// Whether the history is kept though all is well.
    pub keeps_history: bool,
    /// What every run in the core world shares, made by the first.
    ground: OnceLock<Result<Arc<Ground>, String>>,
}

impl Setup {
    /// A configuration and what is done to it.
    #[must_use]
    pub fn new(subject: Subject, plan: Plan, reloads: Vec<Subject>) -> Self {
        Self { subject, plan, reloads, keeps_history: false, ground: OnceLock::new() }
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
