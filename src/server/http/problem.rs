//! Problems as answers.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::api::{PrimaryBody, Problem, ProblemCode};
use crate::manifest::types::Server;
use crate::pair::Refusal;
use crate::server::driver::Unavailable;
use crate::server::view::View;

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(span) = self.retry_after_ms {
            headers.insert(header::RETRY_AFTER, span.ms().div_ceil(1000).into());
        }
        match self.code {
            ProblemCode::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // Who sent too much is not read to the end.
            ProblemCode::TooLarge | ProblemCode::UnsupportedMediaType => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

impl From<Unavailable> for Problem {
    fn from(_: Unavailable) -> Self {
        Refusal::Recovering.into()
    }
}

/// A request that is wrong in itself.
pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::InvalidRequest, detail)
}

/// What the pair refused, with what the caller needs to go on and may see.
pub(super) fn refused(
    refusal: Refusal,
    other: Option<&Server>,
    sees_names: bool,
    view: &View,
) -> Problem {
    let is_standby = refusal == Refusal::Standby;
    let is_conflict = refusal == Refusal::GenerationConflict;
    let mut problem = Problem::from(refusal);
    if is_standby && let Some(other) = other {
        problem.detail = format!("this server stands by: ask `{}`", other.name);
        problem.primary = Some(PrimaryBody {
            name: other.name.clone(),
            address: other.address.clone(),
            port: other.port,
        });
    }
    if is_conflict {
        problem.generation = Some(view.generation);
    }
    if !sees_names {
        for holder in &mut problem.holders {
            holder.user = None;
            holder.host = None;
        }
    }
    problem
}
