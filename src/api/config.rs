//! Bodies of `/v1/config/*` and `/v1/operator`: what operators send.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measure::{Generation, Timestamp};
use crate::name::BundleHash;

/// A bundle and what an operator signed about it (`POST /v1/config/stage`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StageRequest {
    /// The statement's exact bytes, in base64.
    pub statement: String,
    /// The signature over them: SSHSIG, armored.
    pub signature: String,
    /// The bundle's canonical bytes, in base64.
    pub bundle: String,
}

/// A bundle was verified and is held for a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StageAnswer {
    /// 128 random bits in hexadecimal, known only to who staged: the commit presents them.
    pub stage: String,
    /// The number that the bundle will have.
    pub generation: Generation,
    /// The bundle's hash.
    pub bundle: BundleHash,
    /// When the staged bundle is forgotten.
    pub expires_at: Timestamp,
}

/// Starts a bundle that was staged (`POST /v1/config/commit`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommitRequest {
    /// What the stage answered.
    pub stage: String,
    /// The bundle's hash.
    pub bundle: BundleHash,
    /// The bundle's number.
    pub generation: Generation,
}

/// The bundle runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitAnswer {
    /// The bundle's hash.
    pub bundle: BundleHash,
    /// The bundle's number.
    pub generation: Generation,
}

/// An operator's command (`POST /v1/operator`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperatorRequest {
    /// The command's exact bytes, in base64.
    pub statement: String,
    /// The signature over them: SSHSIG, armored.
    pub signature: String,
}
