//! What operators order of a pair, and lists with names: both are signed by an operator's key.
//!
//! What is signed is `statement`'s, who holds the key is `operator_key`'s.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::http::HttpError;
use super::seat::Client;
use super::serving::{AskError, Serving};
use super::wire::{self, PairConfig};
use crate::api::{LeaseList, OperatorRequest};
use crate::manifest::types::SshPublicKey;
use crate::name::ServerName;
use crate::statement::{
    OperatorStatement, Order, Request, SignError, SignedStatement, Signs, sign_request,
};

/// The most bytes of a list of leases.
const LIST_MAX: usize = 64 << 20;

/// Why an order was not carried out, or a list not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The server did not take it.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// There is no other server to tell it.
    #[error("no server but `{0}` itself could be reached: the other one must say that it is dead")]
    Alone(ServerName),
}

impl OrderError {
    /// Whether the order may have been carried out all the same: it was sent, and no answer came.
    #[must_use]
    pub const fn is_unanswered(&self) -> bool {
        let Self::Ask(AskError::Http(error)) = self else { return false };
        matches!(error, HttpError::TimedOut { .. } | HttpError::Broken { .. })
    }
}

impl Client {
    /// The server that is to be told that another one is dead: the first that answers and is not that one.
    ///
    /// # Errors
    /// None answers, or only the one that is said to be dead.
    pub async fn survivor(&self, dead: &ServerName) -> Result<Serving, OrderError> {
        let mut reasons = Vec::new();
        let mut has_dead = false;
        for status in self.statuses().await {
            match status {
                Ok(serving) if serving.status.name != *dead => return Ok(serving),
                Ok(_) => has_dead = true,
                Err(error) => reasons.push(error.to_string()),
            }
        }
        if has_dead {
            return Err(OrderError::Alone(dead.clone()));
        }
        Err(AskError::Unreachable { reasons }.into())
    }

    /// Who the operators of a server's bundle are: the key that signs an order is one of these.
    ///
    /// # Errors
    /// It has no bundle, or does not answer.
    pub async fn operators(&self, at: &Serving) -> Result<Vec<SshPublicKey>, AskError> {
        Ok(self.config(at).await?.operators)
    }

    /// Has a server carry out an order, signed by an operator's key.
    ///
    /// # Errors
    /// The key did not sign, or the server refused.
    pub async fn order(
        &self,
        at: &Serving,
        order: Order,
        key: &dyn Signs,
    ) -> Result<(), OrderError> {
        let pair = self.config(at).await?.name;
        let wall = self.http().world().clock.now().wall;
        let statement = OperatorStatement::new(pair, self.nonce(), wall, order);
        let signed = SignedStatement::sign_operator(&statement, key)?;
        let body = OperatorRequest {
            statement: STANDARD.encode(&signed.statement),
            signature: signed.signature,
        };
        let body = serde_json::to_vec(&body).map_err(|error| AskError::Answer {
            server: at.server.short(),
            reason: error.to_string(),
        })?;
        self.post(&at.server, "/v1/operator", body).await?;
        Ok(())
    }

    /// The live leases that a server knows; with names where an operator's key signs the request.
    ///
    /// # Errors
    /// The key did not sign, or the server refused.
    pub async fn leases(
        &self,
        at: &Serving,
        key: Option<&dyn Signs>,
    ) -> Result<LeaseList, OrderError> {
        const PATH: &str = "/v1/leases";
        let signature = key.map(|key| {
            let request = Request { method: "GET", path: PATH, body: b"", server: &at.status.name };
            let wall = self.http().world().clock.now().wall;
            sign_request(key, &request, &self.nonce(), wall)
        });
        let signature = signature.transpose()?;
        let headers: Vec<(&str, &str)> =
            signature.iter().map(|value| ("tandem-signature", value.as_str())).collect();
        Ok(self.get(&at.server, PATH, &headers, LIST_MAX).await?)
    }

    async fn config(&self, at: &Serving) -> Result<PairConfig, AskError> {
        wire::config(self, &at.server).await
    }

    /// Fresh random text, as what is signed once needs it.
    fn nonce(&self) -> String {
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        URL_SAFE_NO_PAD.encode(self.http().world().entropy.bytes32())
    }
}
