//! What a manifest would change, as a pure function of (bundle, observed state of both servers).
//!
//! `diff` says what is different, `impact` who loses a seat and what is gone, `guard` whether that is more than the
//! running manifest allows, `render` shows it. It knows no ledger, no network and no files; neither secrets nor
//! license bytes are ever in a plan.

mod diff;
pub mod guard;
mod impact;
mod naming;
mod observed;
pub mod render;
mod stale;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bundle::{Bundle, Config};
use crate::json::{self, JsonError, Nulls};
use crate::manifest::schema;
use crate::manifest::types::Role;
use crate::measure::{Generation, Timestamp};
use crate::name::{BundleHash, PairName, ServerName};

pub use guard::{Excess, LargeChange, Limited};
pub use impact::{Count, Counts, Draining, Impact, Revoked, impact};
pub use observed::{Against, HeldLease, Observed, Running, Seen};
pub use stale::Stale;

use naming::Naming;

/// The version of the plan's JSON.
pub const PLAN_SCHEMA: u32 = 1;
/// The most bytes a saved plan may have.
pub const PLAN_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a manifest would change, and what that does to those who hold seats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The version of this document: 1.
    pub schema: u32,
    /// The pair.
    pub pair: PairName,
    /// The manifest's path, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The hash of the bundle that would run.
    pub bundle: BundleHash,
    /// What each server that answered runs, by its number; 0 for none.
    pub base: BTreeMap<ServerName, Generation>,
    /// What happens at each server.
    pub servers: Vec<ServerPlan>,
    /// What the changes are against: a server's name, or what `--against` named. Absent where nothing runs yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Whether what runs could be read. If not, `changes` is empty although there may be some.
    pub comparable: bool,
    /// The changes, by kind, then name.
    pub changes: Vec<Change>,
    /// What that does to those who hold seats, and what is gone.
    pub impact: Impact,
    /// The limits of the running manifest that it exceeds.
    pub exceeds: Vec<Excess>,
}

/// What happens at one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerPlan {
    /// The server.
    pub server: ServerName,
    /// What happens.
    pub action: ServerAction,
    /// The bundle that it runs, where it answered and has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<BundleHash>,
    /// Who had it run that, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// Why it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Who had a server run what it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// The operator: a name where one is known, else the key's fingerprint.
    pub operator: String,
    /// When it was signed.
    pub at: Timestamp,
}

impl std::fmt::Display for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.operator, self.at)
    }
}

/// What happens at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ServerAction {
    /// It runs the bundle already.
    Nothing,
    /// It gets its first bundle.
    First,
    /// It gets another bundle.
    Replace,
    /// It did not answer.
    Unreachable,
}

/// One thing that is different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What kind of thing.
    pub kind: Kind,
    /// Which one.
    pub name: String,
    /// What happens to it.
    pub action: Action,
    /// How it was; absent where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How it will be; absent where it will not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A kind of thing in a manifest, in the order in which plans show them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A setting of the pair, by its path in the manifest.
    Setting,
    /// A server.
    Server,
    /// A license, by its id and role.
    License,
    /// A vendor's key, by its fingerprint.
    Vendor,
    /// An operator's key, by its fingerprint.
    Operator,
    /// A user.
    User,
    /// A group.
    Group,
    /// A member of a group.
    Member,
    /// A product.
    Product,
    /// An entry of `assign`.
    Assignment,
    /// An entry of `deny`.
    Denial,
}

/// What happens to a thing.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It is new.
    Add,
    /// It is gone.
    Remove,
    /// It is another.
    Change,
    /// It has another name and is otherwise the same.
    Rename,
    /// It is elsewhere.
    Move,
}

/// How a plan is made.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The manifest's path, as it was given.
    pub manifest: Option<String>,
    /// Whether names of users and hosts are left out (`--redact`).
    pub redact: bool,
    /// The wall time: licenses that have ended give no seats.
    pub wall: Timestamp,
}

impl Plan {
    /// What running `next` would change at servers that were observed like this.
    #[must_use]
    pub fn make(next: &Config, observed: &Observed, options: &Options) -> Self {
        let mut naming = Naming::new(options.redact);
        let reference = observed.reference(next.bundle.hash());
        let from = reference.as_ref().map(|(_, bundle)| *bundle);
        let comparable = from.is_some() || !observed.runs_anything();
        let changes = match comparable {
            true => diff::diff(from, &next.bundle, &mut naming),
            false => Vec::new(),
        };
        let running = from.and_then(|bundle| Config::compile(bundle).ok());
        let role = observed.serving().and_then(|server| next.role_of(server));
        let mut impact = impact::impact(
            running.as_ref(),
            next,
            observed.leases.as_deref(),
            role.unwrap_or(Role::Primary),
            options.wall,
        );
        let exceeds = from.map(|bundle| guard::excesses(bundle.manifest(), &impact));
        impact.redact(&mut naming);
        let servers = observed.servers.iter().map(|seen| seen.plan(&next.bundle, &mut naming));
        let servers = servers.collect();
        Self {
            schema: PLAN_SCHEMA,
            pair: next.pair.clone(),
            manifest: options.manifest.clone(),
            bundle: next.bundle.hash(),
            base: observed.base(),
            servers,
            against: reference.map(|(label, _)| label),
            comparable,
            changes,
            impact,
            exceeds: exceeds.unwrap_or_default(),
        }
    }

    /// Whether applying it would change anything: some server runs another bundle, or what it is compared with is
    /// another.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        let at_server =
            |plan: &ServerPlan| matches!(plan.action, ServerAction::First | ServerAction::Replace);
        !self.changes.is_empty() || !self.comparable || self.servers.iter().any(at_server)
    }

    /// Whether leases that could not be seen may be lost.
    fn misses_leases(&self) -> bool {
        let runs = |plan: &ServerPlan| plan.runs.is_some();
        !self.impact.leases_seen && self.has_changes() && self.servers.iter().any(runs)
    }

    /// The JSON Schema of a plan, as a text with a newline at its end.
    #[must_use]
    pub fn json_schema_text() -> String {
        schema::document::<Self>("Tandem plan")
    }

    /// Reads a saved plan.
    ///
    /// # Errors
    /// It is too large, not JSON, or not a plan of this version.
    pub fn read(bytes: &[u8]) -> Result<Self, PlanError> {
        if bytes.len() > PLAN_BYTES_MAX {
            return Err(PlanError::TooLarge { bytes: bytes.len() });
        }
        let value = json::value(bytes, Nulls::Accepted)?;
        match value.get("schema").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(PLAN_SCHEMA) => {}
            Some(version) => return Err(PlanError::Version { version }),
            None => return Err(PlanError::NotAPlan),
        }
        serde_json::from_value(value)
            .map_err(|error| PlanError::Json(JsonError::Shape { problem: error.to_string() }))
    }
}

/// Why a file is not a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It is too large.
    #[error("the plan has {bytes} bytes, and {PLAN_BYTES_MAX} are the most")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// It is not JSON, or of another shape.
    #[error("the plan {0}")]
    Json(#[from] JsonError),
    /// It does not say that it is a plan.
    #[error("the file is not a plan: save one with `tandem plan --format json --out FILE`")]
    NotAPlan,
    /// It is of another version.
    #[error(
        "the plan is of version {version}, and this program reads version {PLAN_SCHEMA}: plan again"
    )]
    Version {
        /// Its version.
        version: u64,
    },
}

impl Seen {
    fn plan(&self, next: &Bundle, naming: &mut Naming) -> ServerPlan {
        let server = self.server.clone();
        match &self.running {
            Err(problem) => ServerPlan {
                server,
                action: ServerAction::Unreachable,
                runs: None,
                applied: None,
                problem: Some(problem.clone()),
            },
            Ok(Running { bundle: runs, applied, .. }) => {
                let action = match runs {
                    Some(hash) if *hash == next.hash() => ServerAction::Nothing,
                    Some(_) => ServerAction::Replace,
                    None => ServerAction::First,
                };
                let applied = applied.as_ref().map(|Applied { operator, at }| Applied {
                    operator: naming.operator(operator),
                    at: *at,
                });
                ServerPlan { server, action, runs: *runs, applied, problem: None }
            }
        }
    }
}

#[cfg(test)]
mod tests;
