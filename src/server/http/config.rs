//! `/v1/config` and `/v1/operator`: the bundle that runs, and commands of operators.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::Value;

use super::auth::keyring;
use super::problem::{invalid, refused};
use super::{Shared, body};
use crate::api::{OperatorRequest, Problem, ProblemCode};
use crate::bundle::Bundle;
use crate::pair::{Command, Nonce, Refusal, Reply};
use crate::statement::{Order, SignedStatement, StageError, judge_operator};

/// What stands for a name that the caller may not see.
const NOT_SHOWN: &str = "(not shown)";

/// `GET /v1/config`.
pub(super) async fn bundle(
    State(app): State<Shared>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let caller = app.caller(request.method(), request.uri(), request.headers(), b"")?;
    let view = app.view()?;
    let Some(config) = &view.committed else { return Err(Refusal::Unconfigured.into()) };
    if caller.is_operator() {
        return Ok(body::raw(StatusCode::OK, config.bundle.bytes().to_vec()));
    }
    Ok(body::answer(StatusCode::OK, &without_names(&config.bundle)))
}

/// The bundle without licenses' text and without names of people and computers.
fn without_names(bundle: &Bundle) -> Value {
    let mut value: Value = serde_json::from_slice(bundle.bytes()).unwrap_or_default();
    for license in list(value.get_mut("licenses")) {
        remove(license, "pem");
    }
    let Some(manifest) = value.get_mut("manifest") else { return value };
    remove(manifest, "users");
    for group in list(manifest.get_mut("groups")) {
        remove(group, "members");
    }
    for key in list(manifest.pointer_mut("/trust/operators")) {
        // The comment of a key is most often a name.
        let bare = key.as_str().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
        if let Some(bare) = bare {
            *key = bare.into();
        }
    }
    for seats in list(manifest.get_mut("seats")) {
        for entries in ["assign", "deny"] {
            for entry in list(seats.get_mut(entries)) {
                for who in ["user", "host"] {
                    if let Some(name) = entry.get_mut(who) {
                        *name = NOT_SHOWN.into();
                    }
                }
            }
        }
    }
    value
}

fn list(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    value.and_then(Value::as_array_mut).into_iter().flatten()
}

fn remove(value: &mut Value, key: &str) {
    if let Some(object) = value.as_object_mut() {
        object.remove(key);
    }
}

/// `POST /v1/operator`.
pub(super) async fn operator(
    State(app): State<Shared>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // A statement may have 256 KiB; base64 and the signature come on top.
    let bytes = body::json_bytes(&parts.headers, body, 512 * 1024).await?;
    let OperatorRequest { statement, signature } = body::parse(&bytes)?;
    let statement = STANDARD.decode(statement).map_err(|_| invalid("`statement` is not base64"))?;
    let view = app.view()?;
    let Some(config) = &view.committed else { return Err(Refusal::Unconfigured.into()) };
    let signed = SignedStatement { statement, signature };
    let keyring = keyring(&view, &app.parts.trust);
    let (statement, operator) = judge_operator(&signed, &keyring, &config.pair, app.wall())
        .map_err(|error| stage_problem(&error))?;
    let nonce = Nonce { nonce: statement.nonce, expires: statement.expires };
    tracing::info!(operator = %operator.fingerprint(), "an operator's command");
    let command = match statement.order {
        Order::Fence { server } => Command::Fence { server, nonce },
        Order::Handover { server } => Command::Handover { server, nonce },
        Order::Release { lease, reason } => Command::ForceRelease { lease, reason, nonce },
    };
    let answer = app.parts.handle.command(command).await?;
    match answer.reply {
        Reply::Done | Reply::Released => Ok(StatusCode::NO_CONTENT.into_response()),
        Reply::Refused(refusal) => {
            let other = config.peer_of(&app.parts.name);
            Err(refused(refusal, other, true, &view))
        }
        Reply::Lease(_) | Reply::Queued(_) | Reply::Committed { .. } => {
            Err(Problem::new(ProblemCode::Internal, "the server answered something else"))
        }
    }
}

/// Why a statement is refused, as a problem.
pub(super) fn stage_problem(error: &StageError) -> Problem {
    let code = error.code().parse().unwrap_or(ProblemCode::Refused);
    Problem::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::fixture;

    #[test]
    fn a_bundle_is_shown_without_names_and_licenses() {
        let shown = without_names(&fixture::bundle(fixture::MANIFEST)).to_string();
        for hidden in ["ana", "\"bo\"", "ws-*", "guest", "TANDEM"] {
            assert!(!shown.contains(hidden), "{hidden} in {shown}");
        }
        assert!(shown.contains("designer.primary.alf"));
    }
}
