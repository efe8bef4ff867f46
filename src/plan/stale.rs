//! Whether a saved plan still says what an apply would do.

use crate::measure::Generation;
use crate::name::{BundleHash, ServerName};

use super::impact::Count;
use super::{Applied, Plan};

/// Why a saved plan may not be applied any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// The files were edited since.
    #[error(
        "the files are not those of the plan: it is for {planned}, they are {found}. Plan again"
    )]
    OtherFiles {
        /// The bundle that was planned.
        planned: BundleHash,
        /// The bundle of the files now.
        found: BundleHash,
    },
    /// A server runs another generation than the plan stands on.
    #[error("plan is stale: {}", since(server, *planned, *runs, applied.as_ref()))]
    OtherGeneration {
        /// The server.
        server: ServerName,
        /// The generation that the plan stands on.
        planned: Generation,
        /// What the server runs now.
        runs: Generation,
        /// Who had it run that, and when.
        applied: Option<Applied>,
    },
    /// A server answers that did not, or the other way round.
    #[error("plan is stale: `{server}` {}", if *answers { "answers now" } else { "does not answer any more" })]
    OtherServers {
        /// The server.
        server: ServerName,
        /// Whether it answers now.
        answers: bool,
    },
    /// It would take away more than the plan says.
    #[error("plan is stale: it would {verb} more {what} than it says ({now}, not {planned})")]
    Worse {
        /// What would happen to them.
        verb: &'static str,
        /// Of what.
        what: &'static str,
        /// How many when it was planned.
        planned: usize,
        /// How many now.
        now: usize,
    },
}

fn since(
    server: &ServerName,
    planned: Generation,
    runs: Generation,
    applied: Option<&Applied>,
) -> String {
    match applied {
        Some(applied) => format!("generation {runs} was applied by {applied}"),
        None => {
            format!("it stands on generation {planned} of `{server}`, which runs generation {runs}")
        }
    }
}

impl Plan {
    /// Whether this saved plan may be applied, by one made now of the same files. Where all servers run the bundle
    /// already there is nothing to ask: see [`Plan::has_changes`] of the new one.
    ///
    /// # Errors
    /// The files or a generation are others, or it would take away more.
    pub fn still_holds(&self, now: &Self) -> Result<(), Stale> {
        if self.bundle != now.bundle {
            return Err(Stale::OtherFiles { planned: self.bundle, found: now.bundle });
        }
        for (server, planned) in &self.base {
            match now.base.get(server) {
                Some(runs) if runs == planned => {}
                Some(runs) => {
                    let plan = now.servers.iter().find(|plan| plan.server == *server);
                    return Err(Stale::OtherGeneration {
                        server: server.clone(),
                        planned: *planned,
                        runs: *runs,
                        applied: plan.and_then(|plan| plan.applied.clone()),
                    });
                }
                None => {
                    return Err(Stale::OtherServers { server: server.clone(), answers: false });
                }
            }
        }
        if let Some(server) = now.base.keys().find(|server| !self.base.contains_key(server)) {
            return Err(Stale::OtherServers { server: server.clone(), answers: true });
        }
        let (old, new) = (&self.impact.counts, &now.impact.counts);
        let all: [(&'static str, &'static str, Count, Count); 5] = [
            ("end", "leases", old.revoked, new.revoked),
            ("remove", "users", old.users, new.users),
            ("remove", "groups", old.groups, new.groups),
            ("remove", "products", old.products, new.products),
            ("remove", "seats", old.seats, new.seats),
        ];
        match all.into_iter().find(|(_, _, old, new)| new.count > old.count) {
            Some((verb, what, Count { count: planned, .. }, Count { count: now, .. })) => {
                Err(Stale::Worse { verb, what, planned, now })
            }
            None => Ok(()),
        }
    }
}
