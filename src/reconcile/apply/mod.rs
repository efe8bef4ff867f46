//! Two-phase apply: stage at every server, and only when all have accepted, commit at every server.
//!
//! It carries out what [`decide`] decided on what was seen before; the servers compare and set. Killed anywhere it
//! leaves nothing to unlock: what is staged expires, and a half-committed pair converges by itself.

mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::{ApplyError, Refusal, Why, large_change_command};

use super::decide::{Decision, decide};
use super::event::Event;
use super::observe::{self, Target, View, sight};
use crate::api::{CommitAnswer, CommitRequest, Problem, StageAnswer, StageRequest};
use crate::bundle::Bundle;
use crate::client::Http;
use crate::measure::{Generation, Span};
use crate::name::{BundleHash, ServerName};
use crate::statement::{ApplyStatement, OperatorKey, SignedStatement, Signs, Source};

/// How long a server may take to verify a bundle.
const STAGE_WITHIN: Span = Span::from_secs(30);
/// How long a server may take to commit, each time it is asked.
const COMMIT_WITHIN: Span = Span::from_secs(5);
/// How often a commit without an answer is repeated: a server that has committed says so again.
const COMMITS: u32 = 3;
const BETWEEN_COMMITS: Span = Span::from_ms(300);
/// How often a server is looked at that may take the bundle from its peer at any moment.
const LOOKS: u32 = 15;
const BETWEEN_LOOKS: Span = Span::from_ms(200);

/// A key to sign with that can be used from any thread.
pub type Signer = dyn Signs + Send + Sync;

/// What is to be applied, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// What is to run.
    pub bundle: Bundle,
    /// Where it came from.
    pub source: Source,
    /// Whether it may take away more than the limits of the manifest that runs.
    pub allow_large_change: bool,
    /// Whether one server is enough.
    pub degraded: bool,
}

/// How an apply ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The generation that runs.
    pub generation: Generation,
    /// Whether anything was committed now.
    pub changed: bool,
    /// Those that will take it from their peer, and why they do not run it now.
    pub later: Vec<(ServerName, String)>,
}

/// Applies to the pair, on top of what was seen of it.
///
/// `running` is the bundle of the one server that answered, where the other did not. Events go to `tell` as they
/// happen.
///
/// # Errors
/// Nothing has changed anywhere; or ([`ApplyError::Unknown`]) no answer came back after the last step was begun.
pub async fn apply(
    http: &Http,
    signer: &Signer,
    views: &[View; 2],
    running: Option<&Bundle>,
    order: &Order,
    tell: &mut (dyn FnMut(Event) + Send),
) -> Result<Applied, ApplyError> {
    let decision = decide(&order.bundle, &sight(views), running, order.degraded)?;
    let bundle = order.bundle.hash();
    let (base, generation, absent) = match decision {
        Decision::AlreadyRuns { generation } => {
            tell(Event::InSync { bundle, generation });
            return Ok(Applied { generation, changed: false, later: Vec::new() });
        }
        Decision::PeerBrings { generation, absent } => {
            return Ok(Applied { generation, changed: false, later: later(views, absent, tell) });
        }
        Decision::Apply { base, generation, absent } => (base, generation, absent),
    };
    check_signer(signer, views, order)?;
    let targets: Vec<&Target> = views
        .iter()
        .map(|view| &view.target)
        .filter(|target| base.contains_key(&target.name))
        .collect();
    let request = stage_request(http, signer, base, order)?;
    let stages = stage(http, &targets, &request, tell).await?;
    let mut later = later(views, absent, tell);
    later.extend(commit(http, &stages, bundle, generation, tell).await?);
    if later.is_empty() {
        tell(Event::InSync { bundle, generation });
    }
    Ok(Applied { generation, changed: true, later })
}

/// The absent servers, each with why it did not answer.
fn later(
    views: &[View; 2],
    absent: Vec<ServerName>,
    tell: &mut (dyn FnMut(Event) + Send),
) -> Vec<(ServerName, String)> {
    let reason = |server: &ServerName| {
        let view = views.iter().find(|view| view.target.name == *server);
        let unseen = view.and_then(|view| view.status.as_ref().err());
        unseen.map_or_else(|| "it did not answer".to_owned(), ToString::to_string)
    };
    let later: Vec<_> = absent.into_iter().map(|server| (reason(&server), server)).collect();
    let later = later.into_iter().map(|(reason, server)| {
        tell(Event::Later { server: server.clone(), reason: reason.clone() });
        (server, reason)
    });
    later.collect()
}

/// Whether the next apply can still be signed by who signs this one. A key that every server was started with
/// (`--trust`) is accepted whatever the manifest says.
fn check_signer(signer: &Signer, views: &[View; 2], order: &Order) -> Result<(), ApplyError> {
    let fingerprint = signer.public().fingerprint();
    let operators = &order.bundle.manifest().trust.operators;
    let kept = operators
        .iter()
        .filter_map(|key| OperatorKey::parse(&key.0).ok())
        .any(|key| key == *signer.public());
    let trusted = || {
        let mut seen = views.iter().filter_map(|view| view.status.as_ref().ok());
        seen.all(|status| status.trust.contains(&fingerprint))
    };
    if kept || trusted() { Ok(()) } else { Err(ApplyError::DropsSigner { fingerprint }) }
}

fn stage_request(
    http: &Http,
    signer: &Signer,
    base: BTreeMap<ServerName, Generation>,
    order: &Order,
) -> Result<StageRequest, ApplyError> {
    let manifest = order.bundle.manifest();
    let statement = ApplyStatement {
        allow_large_change: order.allow_large_change,
        ..ApplyStatement::new(
            manifest.metadata.name.clone(),
            order.bundle.hash(),
            base,
            manifest.trust.operators.clone(),
            http.world().clock.now().wall,
            order.source.clone(),
        )
    };
    let signed = SignedStatement::sign_apply(statement, signer)?;
    Ok(StageRequest {
        statement: STANDARD.encode(&signed.statement),
        signature: signed.signature,
        bundle: STANDARD.encode(order.bundle.bytes()),
    })
}

/// Stages at every target at the same time.
async fn stage<'a>(
    http: &Http,
    targets: &[&'a Target],
    request: &StageRequest,
    tell: &mut (dyn FnMut(Event) + Send),
) -> Result<Vec<(&'a Target, StageAnswer)>, ApplyError> {
    let ask = |target: &'a Target| async move {
        let answer: Result<StageAnswer, Why> =
            post(http, target, "/v1/config/stage", request, STAGE_WITHIN).await;
        (target, answer)
    };
    let answers = match targets {
        [one, other] => {
            let (one, other) = tokio::join!(ask(one), ask(other));
            vec![one, other]
        }
        few => {
            let mut answers = Vec::new();
            for target in few {
                answers.push(ask(target).await);
            }
            answers
        }
    };
    let (mut staged, mut refused) = (Vec::new(), Vec::new());
    for (target, answer) in answers {
        let server = target.name.clone();
        match answer {
            Ok(answer) => {
                tell(Event::Staged {
                    server,
                    bundle: answer.bundle,
                    generation: answer.generation,
                });
                staged.push((target, answer));
            }
            Err(why) => {
                tell(refused_event(&server, &why));
                refused.push(Refusal { server, why });
            }
        }
    }
    if refused.is_empty() { Ok(staged) } else { Err(ApplyError::Refused(refused)) }
}

fn refused_event(server: &ServerName, why: &Why) -> Event {
    let findings = match why {
        Why::Problem(problem) => problem.findings.clone(),
        _ => Vec::new(),
    };
    let (server, code) = (server.clone(), why.code().to_owned());
    Event::Refused { server, code, detail: why.to_string(), findings }
}

/// Commits at one server after the other, in the order of their names, which is the same for everybody: of two
/// rivals the one whose stage the first server kept goes on, and the other stops before it changed anything.
///
/// Returns those that accepted before and did not say that they committed: their peer brings it to them.
async fn commit(
    http: &Http,
    stages: &[(&Target, StageAnswer)],
    bundle: BundleHash,
    generation: Generation,
    tell: &mut (dyn FnMut(Event) + Send),
) -> Result<Vec<(ServerName, String)>, ApplyError> {
    let mut order: Vec<_> = stages.iter().collect();
    order.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    let (mut committed, mut missing) = (false, Vec::new());
    for (target, stage) in order {
        let server = target.name.clone();
        let request = CommitRequest { stage: stage.stage.clone(), bundle, generation };
        match commit_one(http, target, &request).await {
            Ok(()) => {
                tell(Event::Committed { server, bundle, generation });
                committed = true;
            }
            Err(why @ Why::Problem(_)) if !committed && missing.is_empty() => {
                tell(refused_event(&server, &why));
                return Err(ApplyError::Refused(vec![Refusal { server, why }]));
            }
            Err(why) => missing.push(Refusal { server, why }),
        }
    }
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    // A commit whose answer was lost may have been made, and one server may have brought it to the other meanwhile.
    let mut later = Vec::new();
    for missing in missing {
        let target =
            stages.iter().map(|(target, _)| *target).find(|one| one.name == missing.server);
        let runs = match target {
            Some(target) => runs_soon(http, target, bundle).await,
            None => false,
        };
        if runs {
            tell(Event::Committed { server: missing.server, bundle, generation });
            committed = true;
        } else {
            later.push(missing);
        }
    }
    if !committed {
        return Err(ApplyError::Unknown(later));
    }
    let later = later.into_iter().map(|missing| {
        let reason = missing.why.to_string();
        tell(Event::Later { server: missing.server.clone(), reason: reason.clone() });
        (missing.server, reason)
    });
    Ok(later.collect())
}

async fn commit_one(http: &Http, target: &Target, request: &CommitRequest) -> Result<(), Why> {
    let mut last = Why::Garbled;
    for attempt in 0..COMMITS {
        if attempt > 0 {
            http.world().clock.sleep(BETWEEN_COMMITS).await;
        }
        match post::<CommitAnswer>(http, target, "/v1/config/commit", request, COMMIT_WITHIN).await
        {
            Ok(_) => return Ok(()),
            Err(Why::Problem(problem)) if problem.status < 500 => {
                return Err(Why::Problem(problem));
            }
            Err(why) => last = why,
        }
    }
    Err(last)
}

/// Whether a server runs the bundle, now or within a moment.
async fn runs_soon(http: &Http, target: &Target, bundle: BundleHash) -> bool {
    for attempt in 0..LOOKS {
        if attempt > 0 {
            http.world().clock.sleep(BETWEEN_LOOKS).await;
        }
        match observe::status(http, &target.endpoint).await {
            Ok(status) if status.bundle == Some(bundle) => return true,
            Ok(_) => {}
            // It is gone: there is nothing to wait for.
            Err(_) => return false,
        }
    }
    false
}

async fn post<A: DeserializeOwned>(
    http: &Http,
    target: &Target,
    path: &str,
    body: &impl Serialize,
    within: Span,
) -> Result<A, Why> {
    let body = serde_json::to_vec(body).map_err(|_| Why::Garbled)?;
    let sent = http.send(&target.endpoint, Method::POST, path, &[], Some(body), within).await;
    let answer = sent.map_err(Why::NoAnswer)?;
    if answer.is_success() {
        return serde_json::from_slice(&answer.body).map_err(|_| Why::Garbled);
    }
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => Err(Why::Problem(Box::new(problem))),
        Err(_) => Err(Why::Garbled),
    }
}
