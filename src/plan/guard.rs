//! Whether a change takes away more than the running manifest allows (`safety`).
//!
//! The running manifest judges, not the new one, so one commit cannot raise a limit and use it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::types::{Limit, Manifest};
use crate::measure::Share;

use super::Impact;
use super::impact::Count;

/// A change takes away more than the running manifest allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the change {}: look at its plan, then `tandem apply --allow-large-change` if it is meant",
    sentence(exceeded)
)]
pub struct LargeChange {
    /// The limits that are exceeded; at least one.
    pub exceeded: Vec<Excess>,
}

/// A limit that is exceeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Excess {
    /// What it limits.
    pub what: Limited,
    /// How many are taken away.
    pub count: usize,
    /// Of how many.
    pub total: usize,
    /// The share that may go.
    pub share: Share,
    /// The number that may always go.
    pub floor: u32,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Limited {
    /// Leases that end.
    Leases,
    /// Users that are removed.
    Users,
    /// Groups that are removed.
    Groups,
    /// Products that are removed.
    Products,
    /// Seats that are removed.
    Seats,
}

impl Limited {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leases => "leases",
            Self::Users => "users",
            Self::Groups => "groups",
            Self::Products => "products",
            Self::Seats => "seats",
        }
    }
}

impl std::fmt::Display for Excess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, count, total, share, floor } = self;
        let verb = if *what == Limited::Leases { "ends" } else { "removes" };
        let what = what.as_str();
        write!(f, "{verb} {count} of {total} {what}, more than {share} and more than {floor}")
    }
}

fn sentence(exceeded: &[Excess]) -> String {
    let parts: Vec<String> = exceeded.iter().map(ToString::to_string).collect();
    parts.join("; it ")
}

/// Whether a change with this impact is within the limits of the running manifest.
///
/// # Errors
/// It is not; the error says which limits it exceeds.
pub fn judge(running: &Manifest, impact: &Impact) -> Result<(), LargeChange> {
    let exceeded = excesses(running, impact);
    if exceeded.is_empty() { Ok(()) } else { Err(LargeChange { exceeded }) }
}

/// The limits of the running manifest that a change with this impact exceeds.
#[must_use]
pub fn excesses(running: &Manifest, impact: &Impact) -> Vec<Excess> {
    let (revoked, removed) = (&running.safety.max_revoked, &running.safety.max_removed);
    let counts = &impact.counts;
    let excess = |(what, Count { count, total }, limit): (Limited, Count, &Limit)| {
        limit.is_exceeded_by(count, total).then_some(Excess {
            what,
            count,
            total,
            share: limit.share,
            floor: limit.floor,
        })
    };
    let all = [
        (Limited::Leases, counts.revoked, revoked),
        (Limited::Users, counts.users, removed),
        (Limited::Groups, counts.groups, removed),
        (Limited::Products, counts.products, removed),
        (Limited::Seats, counts.seats, removed),
    ];
    all.into_iter().filter_map(excess).collect()
}
