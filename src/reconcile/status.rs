//! How a pair stands: what each server says, what drifts, what was applied last. The document of `tandem status`.
//!
//! Pure: it puts together what was observed and what is on disk.

use serde::Serialize;

use super::apply::large_change_command;
use super::desired::Judged;
use super::observe::{Unseen, View};
use crate::api::{LastApply, Status};
use crate::name::{BundleHash, PairName, ServerName};

/// The version of the document.
pub const PAIR_STATUS_SCHEMA: u32 = 1;

/// How a pair stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PairStatus {
    /// The version of this document: 1.
    pub schema: u32,
    /// The pair's name; absent where nobody says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<PairName>,
    /// Whether every server answers and all run one bundle, and where a manifest was given, its.
    pub in_sync: bool,
    /// The servers.
    pub servers: Vec<ServerEntry>,
    /// What is not as it should be.
    pub drift: Vec<Drift>,
    /// The newest apply that a server runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_apply: Option<LastApply>,
    /// The manifest on disk, where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<OnDisk>,
}

/// One server.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerEntry {
    /// Its name, or where it is, if it did not say.
    pub server: String,
    /// Where it is, `PORT@HOST`.
    pub address: String,
    /// Whether it answered.
    pub reachable: bool,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Why it said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// What kind: `unreachable`, `unconfigured`, `another-bundle`, `not-paired`, `peer-problem`, `broken`,
    /// `held` or `not-applied`.
    pub kind: &'static str,
    /// The server it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// What is the matter.
    pub detail: String,
}

/// The manifest on disk.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnDisk {
    /// The file.
    pub file: String,
    /// Whether it can be applied.
    pub ok: bool,
    /// How many errors it has.
    pub errors: usize,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
    /// The bundle it makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleHash>,
    /// Whether that is what runs.
    pub runs: bool,
    /// What applying it would change, in one line, where an operator's key let that be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Whether that is more than the running manifest's `safety` limits allow.
    pub exceeds: bool,
}

impl OnDisk {
    /// What was found on disk. Whether it runs is found out by [`PairStatus::new`].
    #[must_use]
    pub fn new(file: &str, judged: &Judged) -> Self {
        Self {
            file: file.to_owned(),
            ok: judged.bundle.is_some(),
            errors: judged.errors(),
            first_error: judged.first_error(),
            bundle: judged.bundle.as_ref().map(crate::bundle::Bundle::hash),
            runs: false,
            change: None,
            exceeds: false,
        }
    }
}

/// One server as it answered, by its name in a manifest or by its address.
#[derive(Debug)]
pub struct Asked {
    /// Its name, where it is known.
    pub name: Option<ServerName>,
    /// Where it is, `PORT@HOST`.
    pub address: String,
    /// What it says.
    pub status: Result<Status, Unseen>,
}

impl From<View> for Asked {
    fn from(view: View) -> Self {
        Self {
            name: Some(view.target.name),
            address: view.target.endpoint.short(),
            status: view.status,
        }
    }
}

impl Asked {
    fn label(&self) -> String {
        let said = self.status.as_ref().ok().map(|status| &status.name);
        said.or(self.name.as_ref()).map_or_else(|| self.address.clone(), ToString::to_string)
    }
}

impl PairStatus {
    /// Puts together what the servers say and what is on disk.
    #[must_use]
    pub fn new(pair: Option<PairName>, asked: Vec<Asked>, mut manifest: Option<OnDisk>) -> Self {
        let statuses: Vec<&Status> =
            asked.iter().filter_map(|one| one.status.as_ref().ok()).collect();
        let newest = statuses.iter().max_by_key(|status| status.generation);
        let newest = newest.and_then(|status| status.bundle);
        if let Some(on_disk) = &mut manifest {
            let runs = |status: &&Status| status.bundle == on_disk.bundle;
            on_disk.runs = on_disk.ok && !statuses.is_empty() && statuses.iter().all(runs);
        }
        let is_anybody_there = !statuses.is_empty();
        let last_apply = statuses.iter().filter_map(|status| status.last_apply.clone());
        let last_apply = last_apply.max_by_key(|apply| apply.generation);
        let mut drift: Vec<Drift> = asked.iter().flat_map(|one| drift_of(one, newest)).collect();
        if let Some(on_disk) = &manifest {
            drift.extend(drift_of_disk(on_disk, newest, is_anybody_there));
        }
        let in_sync = !asked.is_empty() && newest.is_some() && drift.is_empty();
        let servers = asked.into_iter().map(ServerEntry::from).collect();
        Self { schema: PAIR_STATUS_SCHEMA, pair, in_sync, servers, drift, last_apply, manifest }
    }

    /// Whether any server answered.
    #[must_use]
    pub fn is_anybody_there(&self) -> bool {
        self.servers.iter().any(|server| server.reachable)
    }
}

impl From<Asked> for ServerEntry {
    fn from(asked: Asked) -> Self {
        let (server, address) = (asked.label(), asked.address);
        let (status, reason) = match asked.status {
            Ok(status) => (Some(status), None),
            Err(unseen) => (None, Some(unseen.to_string())),
        };
        Self { server, address, reachable: status.is_some(), status, reason }
    }
}

fn drift_of(asked: &Asked, newest: Option<BundleHash>) -> Vec<Drift> {
    let server = asked.label();
    let drift = |kind, detail: String| Drift { kind, server: Some(server.clone()), detail };
    let status = match &asked.status {
        Err(unseen) => return vec![drift("unreachable", unseen.to_string())],
        Ok(status) => status,
    };
    let mut all = Vec::new();
    match status.bundle {
        None => {
            let detail = "it has no configuration yet: apply the manifest, or, where its peer has one, start it with \
                          `--trust`";
            all.push(drift("unconfigured", detail.to_owned()));
        }
        Some(bundle) if newest != Some(bundle) => all.push(drift(
            "another-bundle",
            format!("it runs generation {}, the other a newer one", status.generation),
        )),
        Some(_) => {}
    }
    if let Some(held) = &status.held {
        let commit = held.source.commit.as_deref().unwrap_or("no commit");
        all.push(drift(
            "held",
            format!(
                "generation {} of {} (from {commit}, signed {}) was committed here during a split and gave way to \
                 the other server's ({}): apply it again if it is still meant",
                held.generation, held.source.path, held.at, held.reason
            ),
        ));
    }
    if let Some(peer) = &status.peer {
        if let Some(problem) = &peer.problem {
            let detail = format!("it does not accept `{}`: {problem}", peer.name);
            all.push(drift("peer-problem", detail));
        } else if !peer.paired {
            let detail = format!("it is not in step with `{}`", peer.name);
            all.push(drift("not-paired", detail));
        }
    }
    all
}

fn drift_of_disk(
    on_disk: &OnDisk,
    newest: Option<BundleHash>,
    is_anybody_there: bool,
) -> Option<Drift> {
    let drift = |kind, detail: String| Some(Drift { kind, server: None, detail });
    if !on_disk.ok {
        let first = on_disk.first_error.as_deref().unwrap_or("it cannot be read");
        let what = match on_disk.errors {
            0 | 1 => "is broken".to_owned(),
            errors => format!("is broken with {errors} errors, the first"),
        };
        return drift("broken", format!("`{}` on disk {what}: {first}", on_disk.file));
    }
    (is_anybody_there && on_disk.bundle != newest).then_some(())?;
    let mut detail = format!("`{}` on disk is not what runs", on_disk.file);
    if let Some(change) = &on_disk.change {
        detail.push_str(&format!(" ({change})"));
    }
    if on_disk.exceeds {
        let command = large_change_command(&on_disk.file);
        detail
            .push_str(&format!("; that is more than `safety` allows: `{command}` if it is meant"));
        return drift("held", detail);
    }
    drift("not-applied", detail)
}
