//! The oracles: one file a promise of the pair, each a pure function over a history of what was seen from outside.
//!
//! An oracle may miss a broken promise (each says what it does not claim); it must never see one that was kept. A
//! request without an answer is unknown: it may have been carried out or not, and both must be allowed for.

pub mod capacity;
pub mod convergence;
pub mod durability;
pub mod entitlement;
pub mod failback;
pub mod failover;
pub mod fair_queue;
pub mod fencing;
pub mod one_voice;
pub mod outage;
pub mod role_encoding;
pub mod same_config;
#[cfg(test)]
mod story;
mod view;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::Entry;

pub(crate) use view::View;

/// A promise of the pair that is judged here.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// No server serves from a license that is not encoded for its role, or takes a bundle with one.
    RoleEncoding,
    /// A secondary that hears its active primary grants and renews nothing.
    OneVoice,
    /// No grant exceeds the capacity of the server that grants.
    Capacity,
    /// An acknowledged lease is known after every crash and restart of either server alone.
    Durability,
    /// No server goes back to an older generation, and both end at one bundle.
    SameConfig,
    /// Nobody holds, beyond one renewal, a seat that no assignment of the bundle gives them.
    Entitlement,
    /// Within one priority seats go to who asked first, across failover.
    FairQueue,
    /// A server that comes back grants nothing before it has taken over what its peer granted.
    Fencing,
    /// The secondary answers once the primary is gone.
    Failover,
    /// The primary answers again once it is back, and the secondary is silent.
    Failback,
    /// Nobody loses a seat in a total outage shorter than the ttl less one renewal interval.
    Outage,
    /// In the end both servers have the same bundle and the same ledger.
    Convergence,
}

impl Promise {
    /// All of them, safety first.
    pub const ALL: [Self; 12] = [
        Self::RoleEncoding,
        Self::OneVoice,
        Self::Capacity,
        Self::Durability,
        Self::SameConfig,
        Self::Entitlement,
        Self::FairQueue,
        Self::Fencing,
        Self::Failover,
        Self::Failback,
        Self::Outage,
        Self::Convergence,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RoleEncoding => "role-encoding",
            Self::OneVoice => "one-voice",
            Self::Capacity => "capacity",
            Self::Durability => "durability",
            Self::SameConfig => "same-config",
            Self::Entitlement => "entitlement",
            Self::FairQueue => "fair-queue",
            Self::Fencing => "fencing",
            Self::Failover => "failover",
            Self::Failback => "failback",
            Self::Outage => "outage",
            Self::Convergence => "convergence",
        }
    }

    /// Where a history breaks this promise.
    #[must_use]
    pub fn judge(self, entries: &[Entry]) -> Vec<Violation> {
        self.judge_view(&View::of(entries))
    }

    /// The same of a history that is in order already: several promises share one view.
    pub(crate) fn judge_view(self, view: &View<'_>) -> Vec<Violation> {
        match self {
            Self::RoleEncoding => role_encoding::judge(view),
            Self::OneVoice => one_voice::judge(view),
            Self::Capacity => capacity::judge(view),
            Self::Durability => durability::judge(view),
            Self::SameConfig => same_config::judge(view),
            Self::Entitlement => entitlement::judge(view),
            Self::FairQueue => fair_queue::judge(view),
            Self::Fencing => fencing::judge(view),
            Self::Failover => failover::judge(view),
            Self::Failback => failback::judge(view),
            Self::Outage => outage::judge(view),
            Self::Convergence => convergence::judge(view),
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// When, in milliseconds since the run began.
    pub at: u64,
    /// How, with the quantities.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(promise: Promise, at: u64, what: String) -> Self {
        Self { promise, at, what }
    }
}
