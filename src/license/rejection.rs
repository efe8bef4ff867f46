//! Why a license is refused: one comparable value a reason, with what a message needs to name it exactly.
//!
//! The text of a rejection follows the name of a file or block: "`designer.alf` {rejection}". What to do about it
//! is [`Rejection::help`]. Which server wanted the file is known to the caller alone.

use crate::json::JsonError;
use crate::measure::Timestamp;
use crate::name::{PublicKey, PurchaseId};
use crate::role::{Mode, Role};

/// Why a license file, one of its blocks, or its use at a server is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The file is larger than any license file may be.
    #[error("has {bytes} bytes, more than the {max} that a license file may have")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// The file has no license in it.
    #[error("has no license: nothing in it begins with `-----BEGIN TANDEM PRIMARY LICENSE-----`")]
    NoBlock,
    /// A block is something else than a license.
    #[error(
        "has a block labeled `{label}` at line {line}, which is neither `TANDEM PRIMARY LICENSE` nor \
         `TANDEM SECONDARY LICENSE`"
    )]
    WrongLabel {
        /// The label found.
        label: String,
        /// The line, from 1.
        line: usize,
    },
    /// A line is almost a block's first or last.
    #[error("has a damaged `-----BEGIN` or `-----END` line at line {line}")]
    DamagedBoundary {
        /// The line, from 1.
        line: usize,
    },
    /// A block ends that has not begun.
    #[error("has an `-----END` line at line {line} with no block begun before it")]
    NotBegun {
        /// The line, from 1.
        line: usize,
    },
    /// A block has no end: the file is cut off.
    #[error("is cut off: the block that begins at line {line} has no `-----END` line")]
    NotEnded {
        /// The line where it begins, from 1.
        line: usize,
    },
    /// A block begins as one role and ends as another.
    #[error("has a block that begins as `{begin}` and ends at line {line} as `{end}`")]
    LabelsDiffer {
        /// The label it begins with.
        begin: String,
        /// The label it ends with.
        end: String,
        /// The line where it ends, from 1.
        line: usize,
    },
    /// A block has header lines, which no license has.
    #[error("has a header line inside a block, at line {line}")]
    Header {
        /// The line, from 1.
        line: usize,
    },
    /// A block's text is not strict base64.
    #[error("is damaged: the block that begins at line {line} is not strict base64")]
    NotBase64 {
        /// The line where the block begins, from 1.
        line: usize,
    },
    /// A block is too short to have a signature and a payload.
    #[error("is cut off: the block that begins at line {line} is shorter than a signature")]
    TooShort {
        /// The line where the block begins, from 1.
        line: usize,
    },
    /// The payload is not strict JSON.
    #[error("has a payload that {0}")]
    NotJson(JsonError),
    /// The payload is JSON, but no object.
    #[error("has a payload that is not a JSON object")]
    NotAnObject,
    /// The payload has a field that no license has.
    #[error("has the unknown field `{field}` in its payload")]
    UnknownField {
        /// The field.
        field: String,
    },
    /// The payload lacks a field that every license has.
    #[error("has no `{field}` in its payload")]
    MissingField {
        /// The field.
        field: &'static str,
    },
    /// A field has a value that it cannot have.
    #[error("has a `{field}` in its payload that is not valid: {problem}")]
    InvalidField {
        /// The field.
        field: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// It ends before it begins.
    #[error("ends at {expires}, which is not after its `notBefore` {not_before}")]
    EndsBeforeItBegins {
        /// From when it counts.
        not_before: Timestamp,
        /// When it ends.
        expires: Timestamp,
    },
    /// Label and payload name different roles.
    #[error("is labeled for the {label} server, but its payload is for the {payload}")]
    RolesDisagree {
        /// The role in the label.
        label: Role,
        /// The role in the payload.
        payload: Role,
    },
    /// The vendor's key is no Ed25519 key.
    #[error("names the vendor {vendor}, which is not an Ed25519 key")]
    InvalidVendorKey {
        /// The key.
        vendor: PublicKey,
    },
    /// The signature is not the vendor's over this role and payload.
    #[error(
        "has a signature that is not its vendor's ({vendor}) for a {role} license: it was edited or damaged"
    )]
    BadSignature {
        /// The vendor it names.
        vendor: PublicKey,
        /// The role it claims.
        role: Role,
    },
    /// It is encoded for the other role.
    #[error("is encoded for the {found} server, not for the {wanted}")]
    WrongRole {
        /// The role it is encoded for.
        found: Role,
        /// The role of the server.
        wanted: Role,
    },
    /// Its vendor is not trusted.
    #[error("is signed by the vendor {vendor}, which is not trusted")]
    UnknownVendor {
        /// The vendor.
        vendor: PublicKey,
    },
    /// It has ended.
    #[error("ended at {expires}")]
    Expired {
        /// When.
        expires: Timestamp,
    },
    /// It is bound to another server, or to one whose key is not known.
    #[error("is bound to the server with the key {bound}{}", other(here.as_ref()))]
    OtherServer {
        /// The key it is bound to.
        bound: PublicKey,
        /// The server's key, where it is known.
        here: Option<PublicKey>,
    },
    /// The vendor does not allow the pair's redundancy mode.
    #[error("does not allow the redundancy mode `{mode}`, only {}", words(allowed))]
    ModeNotAllowed {
        /// The pair's mode.
        mode: Mode,
        /// The modes it allows.
        allowed: Vec<Mode>,
    },
    /// The other file of its purchase is not at the other server.
    #[error("is half of the purchase `{pair}`, whose {missing} license is not at the other server")]
    NoTwin {
        /// The purchase.
        pair: PurchaseId,
        /// The role of the license that is missing.
        missing: Role,
    },
}

impl Rejection {
    /// A word for the kind of rejection, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::NoBlock => "no-license",
            Self::WrongLabel { .. } => "wrong-label",
            Self::DamagedBoundary { .. }
            | Self::NotBegun { .. }
            | Self::NotEnded { .. }
            | Self::LabelsDiffer { .. }
            | Self::Header { .. }
            | Self::NotBase64 { .. }
            | Self::TooShort { .. } => "damaged-armor",
            Self::NotJson(JsonError::DuplicateKey { .. }) => "duplicate-field",
            Self::NotJson(JsonError::Null) => "null-field",
            Self::NotJson(_) | Self::NotAnObject => "damaged-payload",
            Self::UnknownField { .. } => "unknown-field",
            Self::MissingField { .. } => "missing-field",
            Self::InvalidField { .. } | Self::EndsBeforeItBegins { .. } => "invalid-field",
            Self::RolesDisagree { .. } => "roles-disagree",
            Self::InvalidVendorKey { .. } => "invalid-vendor-key",
            Self::BadSignature { .. } => "bad-signature",
            Self::WrongRole { .. } => "wrong-role",
            Self::UnknownVendor { .. } => "unknown-vendor",
            Self::Expired { .. } => "expired",
            Self::OtherServer { .. } => "other-server",
            Self::ModeNotAllowed { .. } => "mode-not-allowed",
            Self::NoTwin { .. } => "no-twin",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::TooLarge { .. } | Self::NoBlock | Self::WrongLabel { .. } => {
                "name a license file (.alf) as the vendor issued it".to_owned()
            }
            Self::DamagedBoundary { .. }
            | Self::NotBegun { .. }
            | Self::NotEnded { .. }
            | Self::LabelsDiffer { .. }
            | Self::Header { .. }
            | Self::NotBase64 { .. }
            | Self::TooShort { .. }
            | Self::BadSignature { .. }
            | Self::RolesDisagree { .. } => {
                "restore the file as the vendor issued it, from git or from the vendor; \
                 an edited license never verifies"
                    .to_owned()
            }
            Self::NotJson(_)
            | Self::NotAnObject
            | Self::UnknownField { .. }
            | Self::MissingField { .. }
            | Self::InvalidField { .. }
            | Self::EndsBeforeItBegins { .. }
            | Self::InvalidVendorKey { .. } => {
                "ask the vendor to issue the license again".to_owned()
            }
            Self::WrongRole { wanted, .. } => {
                format!("use the file saved from the {wanted}'s activation")
            }
            Self::UnknownVendor { vendor } => {
                format!("if you buy from this vendor, add \"{vendor}\" to `trust.vendors`")
            }
            Self::Expired { .. } => "renew the license and replace the file".to_owned(),
            Self::OtherServer { here: None, .. } => {
                "pin the server's identity key in the manifest (`servers[].key`); `tandem serve` shows it"
                    .to_owned()
            }
            Self::OtherServer { here: Some(here), .. } => {
                format!("have the license activated again for the server with the key {here}")
            }
            Self::ModeNotAllowed { .. } => {
                "change `redundancy.mode`, or ask the vendor for a license that allows it".to_owned()
            }
            Self::NoTwin { missing, .. } => {
                format!("add the {missing} file of the same purchase to the {missing} server")
            }
        }
    }
}

fn other(here: Option<&PublicKey>) -> String {
    match here {
        Some(here) => format!(", not to the one with {here}"),
        None => ", and the key of this one is not known".to_owned(),
    }
}

fn words(modes: &[Mode]) -> String {
    let words: Vec<String> = modes.iter().map(|mode| format!("`{mode}`")).collect();
    words.join(" and ")
}
