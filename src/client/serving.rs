//! Which server of a pair serves now, and what is asked of that one alone: lists and operators' commands.
//!
//! A seat needs none of this: it asks whoever answers (`failover`).

use hyper::Method;
use serde::de::DeserializeOwned;

use super::endpoint::Endpoint;
use super::http::{Answer, HttpError};
use super::seat::Client;
use super::wire::problem;
use crate::api::{Problem, State, Status};
use crate::measure::Span;

/// How long a server may take to answer what it has at hand.
const ASK_WITHIN: Span = Span::from_secs(3);
/// How long a server may take to carry out an order: it may wait for its peer.
const ORDER_WITHIN: Span = Span::from_secs(35);
/// The most bytes of a status.
const STATUS_MAX: usize = 8 << 20;

/// A server and what it says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Serving {
    /// Where it is.
    pub server: Endpoint,
    /// What it says of itself.
    pub status: Status,
}

/// Why a server did not give what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No server could be reached.
    #[error("no server could be reached: {}", .reasons.join("; "))]
    Unreachable {
        /// What came of each server.
        reasons: Vec<String>,
    },
    /// There was no answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server refused.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The answer is not what it should be.
    #[error("`{server}` answered what is not understood: {reason}")]
    Answer {
        /// The server, `PORT@HOST`.
        server: String,
        /// What is wrong.
        reason: String,
    },
}

impl Client {
    /// What each server says of itself, in the order of the list; all are asked at once.
    pub async fn statuses(&self) -> Vec<Result<Serving, AskError>> {
        let mut asked = Vec::new();
        for server in self.servers().iter().cloned() {
            let this = self.clone();
            asked.push(tokio::spawn(async move {
                let status = this.get(&server, "/v1/status", &[], STATUS_MAX).await;
                status.map(|status| Serving { server, status })
            }));
        }
        let mut statuses = Vec::new();
        for task in asked {
            match task.await {
                Ok(status) => statuses.push(status),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // Nobody cancels it.
                Err(_) => {}
            }
        }
        statuses
    }

    /// The server that serves; where none does, the first that answers.
    ///
    /// # Errors
    /// None answers.
    pub async fn serving(&self) -> Result<Serving, AskError> {
        let mut answering = self.answering().await?;
        let active = answering.iter().position(|one| one.status.state == State::Active);
        Ok(answering.swap_remove(active.unwrap_or(0)))
    }

    /// The servers that answer, at least one, in the order in which they were named.
    ///
    /// # Errors
    /// None answers.
    pub async fn answering(&self) -> Result<Vec<Serving>, AskError> {
        let mut answering = Vec::new();
        let mut reasons = Vec::new();
        for status in self.statuses().await {
            match status {
                Ok(serving) => answering.push(serving),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        if answering.is_empty() { Err(AskError::Unreachable { reasons }) } else { Ok(answering) }
    }

    /// Reads JSON of at most so many bytes from a server.
    ///
    /// # Errors
    /// There is no answer, a refusal, or something else.
    pub async fn get<T: DeserializeOwned>(
        &self,
        from: &Endpoint,
        path: &str,
        headers: &[(&str, &str)],
        max: usize,
    ) -> Result<T, AskError> {
        let http = self.http().clone().with_answer_max(max);
        let answer = http.send(from, Method::GET, path, headers, None, ASK_WITHIN).await?;
        let answer = success(answer)?;
        serde_json::from_slice(&answer.body)
            .map_err(|error| AskError::Answer { server: from.short(), reason: error.to_string() })
    }

    /// Sends JSON to a server and gives back its answer where it is a success.
    ///
    /// # Errors
    /// There is no answer, or a refusal.
    pub async fn post(&self, to: &Endpoint, path: &str, body: Vec<u8>) -> Result<Answer, AskError> {
        success(self.http().send(to, Method::POST, path, &[], Some(body), ORDER_WITHIN).await?)
    }
}

fn success(answer: Answer) -> Result<Answer, AskError> {
    if answer.is_success() {
        Ok(answer)
    } else {
        Err(AskError::Problem(Box::new(problem(&answer))))
    }
}
