//! The statement about a bundle: which one is to run on which pair, on top of what, and where it came from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::types::SshPublicKey;
use crate::measure::{Generation, Span, Timestamp};
use crate::name::{BundleHash, PairName, ServerName};

use super::StatementError;
use super::signed::{from_bytes, to_bytes};

/// How long a statement may be staged after it was signed.
const LIFETIME: Span = Span::from_secs(600);
/// Above this, JSON's numbers are no longer exact (RFC 8785).
const GENERATION_MAX: u64 = (1 << 53) - 1;

/// What an operator says about a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyStatement {
    /// The pair that is to run it.
    pub pair: PairName,
    /// The bundle's hash.
    pub bundle: BundleHash,
    /// The bundle's number: 1 more than the greatest of `base`.
    pub generation: Generation,
    /// What each server that could be reached runs, by its number; 0 for none.
    pub base: BTreeMap<ServerName, Generation>,
    /// Who may sign the next one: the bundle's operators.
    pub operators: Vec<SshPublicKey>,
    /// The fingerprint of the key that signs this one.
    pub operator: String,
    /// When it was signed, by the operator's clock.
    pub at: Timestamp,
    /// Until when it may be staged.
    pub expires: Timestamp,
    /// Whether it may take away more than the limits of the manifest that runs.
    pub allow_large_change: bool,
    /// Where the bundle came from.
    pub source: Source,
}

/// Where a bundle came from. It is signed, not part of the bundle: a revert gives the old hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// The repository, without credentials; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The git commit; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The manifest's path in it.
    pub path: String,
    /// Whether the files had edits that were not committed.
    pub dirty: bool,
}

#[derive(Serialize, Deserialize)]
enum Type {
    #[serde(rename = "tandem-apply/v1")]
    V1,
}

/// The statement as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    r#type: Type,
    pair: PairName,
    bundle: BundleHash,
    generation: Generation,
    base: BTreeMap<ServerName, Generation>,
    operators: Vec<SshPublicKey>,
    operator: String,
    at: Timestamp,
    expires: Timestamp,
    allow_large_change: bool,
    source: Source,
}

impl ApplyStatement {
    /// A statement signed at `at` on top of `base`; `operator` is filled in by who signs it.
    #[must_use]
    pub fn new(
        pair: PairName,
        bundle: BundleHash,
        base: BTreeMap<ServerName, Generation>,
        operators: Vec<SshPublicKey>,
        at: Timestamp,
        source: Source,
    ) -> Self {
        Self {
            pair,
            bundle,
            generation: after(&base),
            base,
            operators,
            operator: String::new(),
            at,
            expires: at + LIFETIME,
            allow_large_change: false,
            source,
        }
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let this = self.clone();
        to_bytes(&Form {
            r#type: Type::V1,
            pair: this.pair,
            bundle: this.bundle,
            generation: this.generation,
            base: this.base,
            operators: this.operators,
            operator: this.operator,
            at: this.at,
            expires: this.expires,
            allow_large_change: this.allow_large_change,
            source: this.source,
        })
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, StatementError> {
        let form: Form = from_bytes(bytes)?;
        let malformed = |problem| Err(StatementError::Malformed { problem });
        if form.base.is_empty() {
            return malformed("`base` names no server");
        }
        if form.generation != after(&form.base) || form.generation.0 > GENERATION_MAX {
            return malformed("`generation` is not 1 more than the greatest of `base`");
        }
        if form.expires <= form.at || form.expires.since(form.at) > LIFETIME {
            return malformed("`expires` is not within 10 minutes after `at`");
        }
        Ok(Self {
            pair: form.pair,
            bundle: form.bundle,
            generation: form.generation,
            base: form.base,
            operators: form.operators,
            operator: form.operator,
            at: form.at,
            expires: form.expires,
            allow_large_change: form.allow_large_change,
            source: form.source,
        })
    }
}

fn after(base: &BTreeMap<ServerName, Generation>) -> Generation {
    let greatest = base.values().max().copied().unwrap_or_default();
    Generation(greatest.0.saturating_add(1))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::statement) fn statement() -> ApplyStatement {
        let name = |text: &str| ServerName::new(text).expect("a valid name");
        ApplyStatement::new(
            PairName::new("studio-west").expect("a valid name"),
            BundleHash::of(b"a bundle"),
            [(name("lic-a"), Generation(7)), (name("lic-b"), Generation(6))].into(),
            vec![SshPublicKey("ssh-ed25519 AAAA ana".to_owned())],
            "2026-06-01T10:00:00Z".parse().expect("a valid time"),
            Source {
                repository: Some("https://git.example/licenses".to_owned()),
                commit: Some("0123abcd".to_owned()),
                path: "studio/tandem.yaml".to_owned(),
                dirty: false,
            },
        )
    }

    #[test]
    fn a_statement_is_canonical_json() {
        let text = String::from_utf8(statement().to_bytes()).expect("UTF-8");
        insta::assert_snapshot!(text, @r#"{"allowLargeChange":false,"at":"2026-06-01T10:00:00.000Z","base":{"lic-a":7,"lic-b":6},"bundle":"sha256:cd98c950d629c66548537b4ecd68dab3e8cf59974ba6e40df5a1a7354b39db5f","expires":"2026-06-01T10:10:00.000Z","generation":8,"operator":"","operators":["ssh-ed25519 AAAA ana"],"pair":"studio-west","source":{"commit":"0123abcd","dirty":false,"path":"studio/tandem.yaml","repository":"https://git.example/licenses"},"type":"tandem-apply/v1"}"#);
        assert_eq!(ApplyStatement::from_bytes(text.as_bytes()), Ok(statement()));
    }

    #[test]
    fn a_statement_that_lives_too_long_or_stands_on_nothing_is_refused() {
        let refused = |statement: ApplyStatement| {
            matches!(
                ApplyStatement::from_bytes(&statement.to_bytes()),
                Err(StatementError::Malformed { .. })
            )
        };
        let good = statement();
        assert!(refused(ApplyStatement {
            expires: good.expires + Span::from_ms(1),
            ..good.clone()
        }));
        assert!(refused(ApplyStatement { expires: good.at, ..good.clone() }));
        assert!(refused(ApplyStatement {
            base: BTreeMap::new(),
            generation: Generation(1),
            ..good
        }));
    }
}
