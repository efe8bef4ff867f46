//! `/v1/config/stage` and `/v1/config/commit`: a bundle is verified and held, then started.
//!
//! A server judges everything itself, in an order in which a stranger costs it one signature at most (formats.md,
//! "Hostile input"). What it holds is forgotten after a minute.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use tokio::sync::Semaphore;

use super::auth::keyring;
use super::config::stage_problem;
use super::problem::{invalid, refused};
use super::{App, Shared, body};
use crate::api::{
    CommitAnswer, CommitRequest, FindingBody, Problem, ProblemCode, StageAnswer, StageRequest,
    Staged,
};
use crate::bundle::{BUNDLE_BYTES_MAX, Bundle, Config};
use crate::ledger::Lease;
use crate::manifest::check::{Circumstances, Running, check_values};
use crate::manifest::finding::Severity;
use crate::manifest::sources::LicenseFile;
use crate::manifest::types::Role;
use crate::measure::{Generation, Moment, Now, Span, Timestamp};
use crate::name::{BundleHash, LicenseId};
use crate::pair::{Command, Commit, Pair, Refusal, Reply};
use crate::plan::{HeldLease, guard, impact};
use crate::server::view::View;
use crate::statement::{
    Accepted, OperatorKey, STATEMENT_BYTES_MAX, SignedStatement, StageError, judge_apply,
};

/// The most bytes of a stage: a bundle and a statement in base64.
const STAGE_MAX: usize = (BUNDLE_BYTES_MAX + STATEMENT_BYTES_MAX) / 3 * 4 + 64 * 1024;
/// How many findings an answer names.
const FINDINGS_MAX: usize = 100;
/// How long a staged bundle is held.
const HELD_FOR: Span = Span::from_secs(60);
/// How long a stage waits for the one before it.
const TURN_WITHIN: Span = Span::from_secs(10);

/// The bundle that is held, if any, and whose turn it is.
pub(super) struct Staging {
    turn: Semaphore,
    held: Mutex<Option<Held>>,
}

/// A bundle that was verified.
#[derive(Clone)]
struct Held {
    stage: String,
    config: Arc<Config>,
    signed: SignedStatement,
    operator: OperatorKey,
    generation: Generation,
    base: Generation,
    until: Moment,
    expires_at: Timestamp,
}

impl Default for Staging {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), held: Mutex::new(None) }
    }
}

impl Staging {
    fn hold(&self, held: Held) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
    }

    /// The bundle of this stage, unless it is forgotten.
    fn find(&self, request: &CommitRequest, now: Moment) -> Option<Held> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |held: &&Held| {
            held.stage == request.stage
                && held.config.bundle.hash() == request.bundle
                && held.generation == request.generation
                && held.until > now
        };
        held.as_ref().filter(same).cloned()
    }

    fn forget(&self, stage: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|held| held.stage == stage) {
            *held = None;
        }
    }

    /// What status says of it.
    pub(super) fn shown(&self, now: Timestamp) -> Option<Staged> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|held| held.expires_at > now).map(|held| Staged {
            bundle: held.config.bundle.hash(),
            generation: held.generation,
            operator: held.operator.fingerprint(),
            expires_at: held.expires_at,
        })
    }
}

/// `POST /v1/config/stage`.
pub(super) async fn stage(
    State(app): State<Shared>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let turn = tokio::time::timeout(TURN_WITHIN.to_std(), app.staging.turn.acquire());
    let Ok(Ok(_turn)) = turn.await else {
        let detail = "another bundle is being staged: try again";
        return Err(Problem::new(ProblemCode::TooManyRequests, detail));
    };
    let (parts, body) = request.into_parts();
    let bytes = body::json_bytes(&parts.headers, body, STAGE_MAX).await?;
    let StageRequest { statement, signature, bundle } = body::parse(&bytes)?;
    drop(bytes);
    if statement.len() > STATEMENT_BYTES_MAX.div_ceil(3) * 4 {
        let detail = format!("the statement has more than {STATEMENT_BYTES_MAX} bytes");
        return Err(Problem::new(ProblemCode::TooLarge, detail));
    }
    let statement = STANDARD.decode(statement).map_err(|_| invalid("`statement` is not base64"))?;
    let signed = SignedStatement { statement, signature };

    let view = app.view()?;
    let accepted = app.judge_statement(&signed, &view).await?;
    let bundle = STANDARD.decode(bundle).map_err(|_| invalid("`bundle` is not base64"))?;
    let bundle = decode(&bundle)?;
    let config = app.judge_bundle(&accepted, bundle, &view).await?;

    let now = app.parts.world.clock.now();
    let held = Held {
        stage: app.fresh_secret(),
        signed,
        operator: accepted.operator,
        generation: accepted.statement.generation,
        base: accepted.base,
        until: now.moment + HELD_FOR,
        expires_at: now.wall + HELD_FOR,
        config,
    };
    let answer = StageAnswer {
        stage: held.stage.clone(),
        generation: held.generation,
        bundle: held.config.bundle.hash(),
        expires_at: held.expires_at,
    };
    let generation = held.generation;
    tracing::info!(%generation, operator = %held.operator.fingerprint(), "a bundle is staged");
    app.staging.hold(held);
    Ok(body::answer(StatusCode::OK, &answer))
}

/// `POST /v1/config/commit`.
pub(super) async fn commit(
    State(app): State<Shared>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let request: CommitRequest = body::json(&parts.headers, body).await?;
    let now = app.parts.world.clock.now();
    let Some(held) = app.staging.find(&request, now.moment) else {
        if app.runs(request.generation, request.bundle).await? {
            return Ok(committed(&request));
        }
        let detail = "this stage is not known, was replaced or has expired: stage again";
        return Err(Problem::new(ProblemCode::UnknownStage, detail));
    };
    let commit = Commit {
        config: held.config,
        statements: vec![held.signed],
        generation: held.generation,
        base: held.base,
    };
    let answer = app.parts.handle.command(Command::Commit(Box::new(commit))).await?;
    match answer.reply {
        Reply::Committed { .. } => {
            app.staging.forget(&request.stage);
            Ok(committed(&request))
        }
        // The peer may have brought it meanwhile.
        Reply::Refused(Refusal::GenerationConflict) => {
            if app.runs(request.generation, request.bundle).await? {
                app.staging.forget(&request.stage);
                return Ok(committed(&request));
            }
            Err(app.conflict(Refusal::GenerationConflict.into()).await)
        }
        Reply::Refused(refusal) => {
            let view = app.parts.handle.view();
            Err(refused(refusal, view.other(&app.parts.name), false, &view))
        }
        Reply::Lease(_) | Reply::Queued(_) | Reply::Released | Reply::Done => {
            Err(Problem::new(ProblemCode::Internal, "the server answered something else"))
        }
    }
}

fn committed(request: &CommitRequest) -> Response {
    let CommitRequest { bundle, generation, .. } = *request;
    body::answer(StatusCode::OK, &CommitAnswer { bundle, generation })
}

fn decode(bytes: &[u8]) -> Result<Bundle, Problem> {
    Bundle::decode(bytes).map_err(|error| match error {
        crate::bundle::BundleError::TooLarge { .. } => {
            Problem::new(ProblemCode::TooLarge, error.to_string())
        }
        error => Problem::new(ProblemCode::Refused, error.to_string()),
    })
}

impl App {
    /// Whether exactly this bundle runs already.
    async fn runs(&self, generation: Generation, bundle: BundleHash) -> Result<bool, Problem> {
        let runs = self.parts.handle.query(move |pair: &Pair, _: Now| {
            pair.committed()
                .is_some_and(|runs| (runs.generation, runs.hash()) == (generation, bundle))
        });
        Ok(runs.await?)
    }

    /// A conflict, with what runs instead.
    async fn conflict(&self, mut problem: Problem) -> Problem {
        let runs = self.parts.handle.query(|pair: &Pair, _: Now| {
            let last = pair.statements().last().and_then(|signed| signed.read().ok());
            (pair.generation(), pair.committed().map(|runs| runs.hash()), last)
        });
        if let Ok((generation, bundle, last)) = runs.await {
            problem.generation = Some(generation);
            problem.bundle = bundle;
            if let Some(last) = last {
                problem.operator = Some(last.operator);
                problem.commit = last.source.commit;
                problem.at = Some(last.at);
            }
        }
        problem
    }

    /// Size, signature, pair, generation and time, in this order.
    async fn judge_statement(
        &self,
        signed: &SignedStatement,
        view: &View,
    ) -> Result<Accepted, Problem> {
        let keyring = keyring(view, &self.parts.trust);
        let pair = view.config.as_ref().map(|config| &config.pair);
        let own = view.generation;
        let name = &self.parts.name;
        match judge_apply(signed, &keyring, pair, name, own, self.wall()) {
            Ok(accepted) => Ok(accepted),
            Err(error @ StageError::GenerationConflict { .. }) => {
                Err(self.conflict(stage_problem(&error)).await)
            }
            Err(error) => Err(stage_problem(&error)),
        }
    }

    /// Everything about the bundle: this server believes nothing that a client checked.
    async fn judge_bundle(
        &self,
        accepted: &Accepted,
        bundle: Bundle,
        view: &View,
    ) -> Result<Arc<Config>, Problem> {
        let refuse = |detail: String| Problem::new(ProblemCode::Refused, detail);
        accepted.check_bundle(&bundle, &self.parts.name).map_err(|error| stage_problem(&error))?;
        self.judge_meaning(accepted, &bundle, view)?;
        let config = Config::compile(&bundle).map_err(|error| refuse(error.to_string()))?;
        self.judge_roles(&config, view).map_err(refuse)?;
        self.judge_change(accepted, &config, view).await?;
        Ok(Arc::new(config))
    }

    /// What the bundle means, by the rules that `validate` knows.
    fn judge_meaning(
        &self,
        accepted: &Accepted,
        bundle: &Bundle,
        view: &View,
    ) -> Result<(), Problem> {
        let running: BTreeSet<LicenseId> = view
            .config
            .iter()
            .flat_map(|config| config.products.values())
            .flat_map(|product| product.licenses.iter().flatten())
            .map(|license| license.id.clone())
            .collect();
        // A `--trust` key stays accepted whatever the bundle says: it locks nobody out.
        let is_trusted_always = self.parts.trust.contains(&accepted.operator);
        let signer = accepted.operator.to_string();
        let circumstances = Circumstances {
            running: Running::Licenses(&running),
            signer: (!is_trusted_always).then_some(signer.as_str()),
            ..Circumstances::at(self.wall())
        };
        let licenses: Vec<LicenseFile> = bundle
            .licenses()
            .iter()
            .map(|license| LicenseFile {
                server: license.server.clone(),
                file: license.file.clone(),
                text: license.pem.as_bytes().into(),
            })
            .collect();
        let checked = check_values(bundle.manifest(), &licenses, &circumstances);
        if checked.is_accepted() {
            return Ok(());
        }
        let errors = checked.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let errors: Vec<FindingBody> = errors.take(FINDINGS_MAX).map(FindingBody::from).collect();
        let first = errors.first().map(|finding| finding.message.clone()).unwrap_or_default();
        let mut problem = Problem::new(ProblemCode::Refused, first);
        problem.findings = errors;
        Err(problem)
    }

    /// Whether the change keeps to the `safety` of the manifest that runs.
    async fn judge_change(
        &self,
        accepted: &Accepted,
        next: &Config,
        view: &View,
    ) -> Result<(), Problem> {
        let Some(running) = &view.config else { return Ok(()) };
        let safety = &running.bundle.manifest().safety;
        if safety.require_committed && accepted.statement.source.dirty {
            let detail = "the files have edits that are not committed, and the manifest that runs says \
                          `safety.requireCommitted`: commit them first";
            return Err(Problem::new(ProblemCode::Refused, detail));
        }
        if accepted.statement.allow_large_change {
            return Ok(());
        }
        let held = |pair: &Pair, now: Now| {
            let mut leases: Vec<_> = pair
                .ledger()
                .leases(now.moment)
                .filter(|view| view.lease.forced.is_none())
                .map(|view| (view.lease.granted, held_lease(view.lease)))
                .collect();
            leases.sort_by_key(|(granted, _)| *granted);
            leases.into_iter().map(|(_, lease)| lease).collect::<Vec<_>>()
        };
        let leases = self.parts.handle.query(held).await?;
        let role = next.role_of(&self.parts.name).unwrap_or(Role::Primary);
        let impact = impact(Some(running), next, Some(&leases), role, self.wall());
        guard::judge(running.bundle.manifest(), &impact)
            .map_err(|large| Problem::new(ProblemCode::LargeChange, large.to_string()))
    }

    /// Two servers swap their roles once both run the bundle: not one of them with a server that comes anew.
    fn judge_roles(&self, config: &Config, view: &View) -> Result<(), String> {
        let name = &self.parts.name;
        let before = view.config.as_ref().and_then(|config| config.role_of(name));
        let after = config.role_of(name);
        let peer = view.other(name).map(|peer| &peer.name);
        match (before, after, config.peer_of(name)) {
            (Some(before), Some(after), Some(next))
                if before != after && peer != Some(&next.name) =>
            {
                let next = &next.name;
                Err(format!(
                    "`{name}` is the {before} and would become the {after} beside `{next}`, which is new: keep its role \
                     in this apply, and swap the roles in the next"
                ))
            }
            _ => Ok(()),
        }
    }
}

fn held_lease(lease: &Lease) -> HeldLease {
    HeldLease {
        id: lease.id.clone(),
        product: lease.product.clone(),
        user: lease.user.clone(),
        host: lease.host.clone(),
        address: Some(lease.address),
        seats: lease.seats(),
        assignment: lease.assignment,
        is_borrowed: lease.borrowed_until().is_some(),
    }
}
