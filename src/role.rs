//! The two words that manifests and licenses share: a server's role and a pair's redundancy mode.
//!
//! They stand below both, so that a license can be judged without knowing what a manifest is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a server is configured to be.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Serves whenever it can.
    Primary,
    /// Stays silent unless the primary is no longer available.
    Secondary,
}

impl Role {
    /// The other role.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }

    /// The word for it in manifests, licenses and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a split of the pair may cost.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Each side serves its own capacity while it cannot hear the other.
    #[default]
    Mirror,
    /// Each side serves its share, so that the capacity is never exceeded.
    Escrow,
}

impl Mode {
    /// The word for it in manifests, licenses and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mirror => "mirror",
            Self::Escrow => "escrow",
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
