//! The operator's key of a verb: `--key`, `TANDEM_OPERATOR_KEY`, or what the ssh-agent holds.
//!
//! Finding and using keys is `client::operator_key`'s; here are the flag, the question for a password, the warning.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Context;
use super::error::Failure;
use super::output::quote;
use super::servers::not_ordered;
use crate::client::operator_key::{HeldKey, Search, find};
use crate::client::{Client, Serving};
use crate::manifest::types::SshPublicKey;
use crate::reconcile::observe::name_of;

/// Which key signs.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Key {
    /// The operator's SSH key, or the public half of one in the ssh-agent [default: `TANDEM_OPERATOR_KEY`, else the
    /// operator's key that the ssh-agent holds].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Key {
    /// Whether one was named.
    pub(crate) fn is_named(&self) -> bool {
        self.named().is_some()
    }

    fn named(&self) -> Option<PathBuf> {
        let set = || std::env::var_os("TANDEM_OPERATOR_KEY").filter(|name| !name.is_empty());
        self.key.clone().or_else(|| set().map(PathBuf::from))
    }

    /// The key. Of those in an agent only an operator's is taken, where any are given.
    pub(crate) fn find(
        &self,
        cx: &Context,
        operators: &[SshPublicKey],
    ) -> Result<HeldKey, Failure> {
        let named = self.named();
        let found = find(&mut Search {
            file: named.as_deref(),
            agent: std::env::var_os("SSH_AUTH_SOCK"),
            operators,
            password: &mut password,
        })?;
        if let Some(warning) = found.warning {
            cx.output.warning(&warning);
        }
        Ok(found.key)
    }

    /// The key of an operator of the bundle that this server runs.
    pub(crate) async fn find_for(
        &self,
        cx: &Context,
        client: &Client,
        at: &Serving,
    ) -> Result<HeldKey, Failure> {
        let operators = client.operators(at).await;
        self.find(cx, &operators.map_err(|error| not_ordered(error.into()))?)
    }

    /// The key where there is one, for questions that are answered without a key too, only less fully. One that was
    /// named must be there.
    pub(crate) fn find_if_any(
        &self,
        cx: &Context,
        operators: &[SshPublicKey],
    ) -> Result<Option<HeldKey>, Failure> {
        match self.find(cx, operators) {
            Ok(key) => Ok(Some(key)),
            Err(failure) if self.is_named() => Err(failure),
            Err(failure) => {
                tracing::info!(reason = failure.message(), "no operator's key");
                Ok(None)
            }
        }
    }
}

/// Who has this fingerprint, as far as these keys' comments say: `ana (SHA256:…)`.
pub(crate) fn who(fingerprint: &str, operators: &[SshPublicKey]) -> String {
    match name_of(fingerprint, operators) {
        Some(name) => format!("{name} ({fingerprint})"),
        None => fingerprint.to_owned(),
    }
}

fn password(path: &Path) -> Option<Zeroizing<String>> {
    let question = format!("password of {}: ", quote(&path.display().to_string()));
    // A terminal that cannot be read is as good as none.
    crate::seam::terminal::secret(&question).ok().flatten()
}
