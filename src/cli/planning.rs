//! What `plan`, `apply` and `show` share: reading a manifest, finding what runs, and the plan of the two.
//!
//! Findings are told on standard error; what cannot be planned is a failure.

use std::path::Path;

use super::Context;
use super::diagnostics;
use super::error::{Exit, Explain as _, Failure};
use super::operator::Key;
use super::output::quote;
use crate::bundle::{Bundle, Config};
use crate::client::Http;
use crate::client::operator_key::HeldKey;
use crate::manifest::types::{Manifest, SshPublicKey};
use crate::name::ServerName;
use crate::plan::{Against as Compared, Observed, Options, Plan, Running, Seen};
use crate::reconcile::desired::{Beside, Desired, Judged};
use crate::reconcile::observe::{self, View};
use crate::repository::{self, Against, AgainstError};
use crate::statement::Signs as _;

/// A manifest as it was planned, with what was seen of its pair.
pub(crate) struct Planned {
    /// What is on disk.
    pub(crate) desired: Desired,
    /// The bundle that it makes.
    pub(crate) bundle: Bundle,
    /// The servers as they answered.
    pub(crate) views: [View; 2],
    /// The bundle of a server that answered, rather one that serves.
    pub(crate) running: Option<Bundle>,
    /// What would change.
    pub(crate) plan: Plan,
    /// The operator's key, where there is one.
    pub(crate) key: Option<HeldKey>,
}

/// Whose key a plan needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// None; with one it sees more.
    Maybe,
    /// One to sign the apply with, that the manifest must keep.
    Sign,
}

/// Reads a manifest and makes its plan against what both servers run.
pub(crate) async fn against_servers(
    cx: &Context,
    http: &Http,
    path: &Path,
    key: &Key,
    need: Need,
    redact: bool,
) -> Result<Planned, Failure> {
    let desired = Desired::read(path);
    let Some(manifest) = desired.manifest() else { return Err(refused(cx, &desired, None)?) };
    let pair = match observe::pair(manifest) {
        Ok(pair) => pair,
        Err(error) => {
            refused(cx, &desired, None)?;
            return Err(error.into());
        }
    };
    let operators = operators(manifest);
    let key = match need {
        Need::Sign => Some(key.find(cx, operators)?),
        Need::Maybe => key.find_if_any(cx, operators)?,
    };
    let views = observe::both(http, &pair).await;
    if need == Need::Maybe && views.iter().all(|view| view.status.is_err()) {
        return Err(nobody(&views));
    }
    let at_hand = desired.bundle();
    let signer = key.as_ref().map(|key| key as &_);
    let observed = observe::observed(http, &views, signer, at_hand.as_ref()).await;
    let running = best(&observed);
    let kept = key.as_ref().filter(|key| need == Need::Sign && !is_trusted(key, &views));
    let judged = judge(cx, &desired, running.clone().map(Against::Bundle).as_ref(), kept)?;
    let Some(bundle) = judged.bundle else { return Err(broken(&desired, judged.errors())) };
    let plan = plan(cx, &desired, &bundle, &observed, redact)?;
    Ok(Planned { desired, bundle, views, running, plan, key })
}

/// Reads a manifest and makes its plan against a revision or a file, with no network.
pub(crate) fn offline(
    cx: &Context,
    path: &Path,
    against: &str,
    redact: bool,
) -> Result<(Bundle, Plan), Failure> {
    let desired = Desired::read(path);
    let reference = repository::against(path, against).map_err(|error| {
        let is_usage = matches!(error, AgainstError::Neither(_));
        let failure = Failure::from(error);
        if is_usage { failure.with_exit(Exit::Usage) } else { failure }
    });
    let reference = reference.context(|| "`--against` cannot be used".to_owned())?;
    let judged = judge(cx, &desired, Some(&reference), None)?;
    let Some(bundle) = judged.bundle else { return Err(broken(&desired, judged.errors())) };
    let observed = stored(&reference, against, &desired, &bundle)?;
    let plan = plan(cx, &desired, &bundle, &observed, redact)?;
    Ok((bundle, plan))
}

/// What a revision or a file says of what runs.
fn stored(
    reference: &Against,
    label: &str,
    desired: &Desired,
    wanted: &Bundle,
) -> Result<Observed, Failure> {
    let compared = |bundle| Observed {
        against: Some(Compared { label: label.to_owned(), bundle }),
        ..Observed::default()
    };
    Ok(match reference {
        Against::Nothing => Observed::default(),
        Against::Bundle(bundle) => compared(bundle.clone()),
        Against::Manifest(loaded) => {
            let bundle = loaded.bundle().ok_or_else(|| {
                diagnostics::tell(&loaded.findings);
                Failure::new(format!("the manifest of {} cannot be understood", quote(label)))
                    .with_help(
                        "compare with a revision whose manifest is valid, or with a whole file",
                    )
            })?;
            compared(bundle.context(|| format!("{} is no configuration", quote(label)))?)
        }
        // A saved status says which bundles ran, and has none of them.
        Against::Status(hashes) => {
            let names = desired.manifest().map(|manifest| manifest.servers.as_slice());
            let names: Vec<&ServerName> =
                names.unwrap_or_default().iter().map(|server| &server.name).collect();
            let seen = |(name, hash): (&&ServerName, &crate::name::BundleHash)| {
                let config = (*hash == wanted.hash()).then(|| wanted.clone());
                let bundle = Some(*hash);
                let running = Running { bundle, config, ..Running::default() };
                Seen { server: (*name).clone(), running: Ok(running) }
            };
            // Both may have run the same.
            let hashes: Vec<_> = hashes.iter().collect();
            let both = hashes.iter().copied().chain(hashes.last().copied());
            Observed { servers: names.iter().zip(both).map(seen).collect(), ..Observed::default() }
        }
    })
}

/// The plan of a bundle.
pub(crate) fn plan(
    cx: &Context,
    desired: &Desired,
    bundle: &Bundle,
    observed: &Observed,
    redact: bool,
) -> Result<Plan, Failure> {
    let config = Config::compile(bundle)?;
    let manifest = Some(desired.file().to_owned());
    let options = Options { manifest, redact, wall: cx.world.clock.now().wall };
    Ok(Plan::make(&config, observed, &options))
}

/// Judges what is on disk and tells what was found.
fn judge(
    cx: &Context,
    desired: &Desired,
    running: Option<&Against>,
    signer: Option<&HeldKey>,
) -> Result<Judged, Failure> {
    let line = signer.map(|key| key.public().to_string());
    let beside = Beside { now: cx.world.clock.now().wall, running, signer: line.as_deref() };
    let judged = desired.judge(&beside)?;
    diagnostics::tell(&judged.findings);
    Ok(judged)
}

/// The failure of a manifest of which not enough can be understood to ask its servers; its findings are told.
fn refused(cx: &Context, desired: &Desired, running: Option<&Against>) -> Result<Failure, Failure> {
    let judged = judge(cx, desired, running, None)?;
    Ok(broken(desired, judged.errors()))
}

fn broken(desired: &Desired, errors: usize) -> Failure {
    let errors = if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") };
    Failure::new(format!("{} has {errors}: nothing was sent", quote(desired.file())))
}

fn nobody(views: &[View; 2]) -> Failure {
    let reasons = views.iter().filter_map(|view| view.status.as_ref().err());
    reasons
        .fold(Failure::new("no server of the pair could be reached"), |failure, unseen| {
            failure.with_cause(unseen.to_string())
        })
        .with_help("start the servers, or compare with a commit: `--against REV`")
}

fn operators(manifest: &Manifest) -> &[SshPublicKey] {
    &manifest.trust.operators
}

/// Whether every server that answered takes this key whatever its bundle says (`--trust`).
fn is_trusted(key: &HeldKey, views: &[View; 2]) -> bool {
    let fingerprint = key.public().fingerprint();
    let mut seen = views.iter().filter_map(|view| view.status.as_ref().ok());
    seen.all(|status| status.trust.contains(&fingerprint))
}

/// The bundle that runs: rather the one of the higher generation, rather the one that serves.
pub(crate) fn best(observed: &Observed) -> Option<Bundle> {
    let running = observed.servers.iter().filter_map(|seen| seen.running.as_ref().ok());
    let known = running.filter_map(|running| Some((running, running.config.as_ref()?)));
    let best = known.max_by_key(|(running, _)| (running.generation, running.serves))?;
    Some(best.1.clone())
}
