//! Problem details (RFC 9457): every error of the API, by code.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ms;
use crate::manifest::finding::{Finding, Severity};
use crate::measure::{Generation, Seats, Span, Timestamp};
use crate::name::{BundleHash, HostName, ServerName, UserName};

/// An error of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// `urn:tandem:problem:` and the code.
    #[serde(rename = "type")]
    pub uri: String,
    /// What kind of error, for people.
    pub title: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with which thing, and what to do.
    pub detail: String,
    /// What kind of error, for programs.
    pub code: ProblemCode,
    /// What is wrong with a bundle (`refused`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingBody>,
    /// After how long to ask again.
    #[serde(with = "ms::option", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub retry_after_ms: Option<Span>,
    /// Which server to ask instead (`standby`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<PrimaryBody>,
    /// The number of the bundle that runs (`generation-conflict`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,
    /// The hash of the bundle that runs (`generation-conflict`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleHash>,
    /// The fingerprint of the key that signed the bundle that runs (`generation-conflict`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// The git commit of the bundle that runs (`generation-conflict`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When the bundle that runs was signed (`generation-conflict`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Why the lease was ended (`revoked`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who holds the seats, as far as the caller may see (`no-seat-free`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<Holder>,
}

/// A live lease that keeps a seat from being free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Who holds it. Only for operators, or where the manifest says `visibility: open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// On which computer. Shown like `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// How many seats.
    pub seats: Seats,
}

/// Where the primary is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrimaryBody {
    /// Its name.
    pub name: ServerName,
    /// Its name or IP address on the network.
    pub address: String,
    /// Its TCP port.
    pub port: u16,
}

/// One thing that is wrong with a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingBody {
    /// The number of its kind, for example `E0103`.
    pub code: String,
    /// The name of its kind.
    pub name: String,
    /// How grave it is.
    #[schemars(with = "String")]
    pub severity: Severity,
    /// The file or field it is about.
    pub file: String,
    /// What is wrong with which thing.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl From<&Finding> for FindingBody {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code.id.to_owned(),
            name: finding.code.name.to_owned(),
            severity: finding.severity,
            file: finding.file.clone(),
            message: finding.message.clone(),
            help: finding.help.clone(),
        }
    }
}

impl Problem {
    /// A problem of a kind, with what is wrong in this case.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            uri: format!("urn:tandem:problem:{code}"),
            title: Cow::Borrowed(code.title()),
            status: code.status(),
            detail: detail.into(),
            code,
            findings: Vec::new(),
            retry_after_ms: None,
            primary: None,
            generation: None,
            bundle: None,
            operator: None,
            commit: None,
            at: None,
            reason: None,
            holders: Vec::new(),
        }
    }

    /// The same problem, worth trying again after a while.
    #[must_use]
    pub fn retry_after(mut self, span: Span) -> Self {
        self.retry_after_ms = Some(span);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() { self.title.fmt(f) } else { self.detail.fmt(f) }
    }
}

/// The kinds of problem, each with its code, status and title in one table.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $code:literal $status:literal $title:literal;)*) => {
        /// What kind of error, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProblemCode {
            $($(#[$doc])* $variant,)*
            /// A kind that this version does not know.
            Unknown,
        }

        impl ProblemCode {
            /// Every known kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* Self::Unknown => "unknown" }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* Self::Unknown => 500 }
            }

            /// What kind of error, for people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* Self::Unknown => "unknown problem" }
            }
        }

        impl FromStr for ProblemCode {
            type Err = std::convert::Infallible;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(match text { $($code => Self::$variant,)* _ => Self::Unknown })
            }
        }
    };
}

codes! {
    /// The request itself is wrong.
    InvalidRequest "invalid-request" 400 "the request is not valid";
    /// There is no lease token, or a wrong one.
    Unauthenticated "unauthenticated" 401 "a valid lease token is needed";
    /// A `deny` entry matches.
    Denied "denied" 403 "the manifest denies this user a seat";
    /// No assignment matches.
    NotEntitled "not-entitled" 403 "no assignment gives this user a seat";
    /// The manifest or the license does not lend this.
    BorrowNotAllowed "borrow-not-allowed" 403 "the seat may not be borrowed";
    /// The key that signed is no operator's.
    UntrustedOperator "untrusted-operator" 403 "the operator's signature is not trusted";
    /// The server trusts nobody yet.
    NoTrust "no-trust" 403 "the server trusts no operator yet";
    /// No license offers the product.
    UnknownProduct "unknown-product" 404 "no license offers this product";
    /// The lease is not known, or its use has ended.
    UnknownLease "unknown-lease" 404 "the lease is not known or has ended";
    /// The staged bundle is not known, or was replaced, or has expired.
    UnknownStage "unknown-stage" 404 "the staged bundle is not known or has expired";
    /// There is no such route.
    NotFound "not-found" 404 "there is nothing here";
    /// The route does not take this method.
    MethodNotAllowed "method-not-allowed" 405 "the method is not allowed here";
    /// Every seat is taken or kept for others.
    NoSeatFree "no-seat-free" 409 "no seat is free";
    /// The lease was ended by a bundle or an operator.
    Revoked "revoked" 409 "the lease was revoked";
    /// Another bundle runs than the statement says.
    GenerationConflict "generation-conflict" 409 "another bundle was applied in between";
    /// The change is over the running manifest's safety limits.
    LargeChange "large-change" 409 "the change takes away more than the safety limits allow";
    /// The statement is about another pair.
    WrongPair "wrong-pair" 409 "the statement is about another pair";
    /// The body is too large.
    TooLarge "too-large" 413 "the request is too large";
    /// The body is not JSON.
    UnsupportedMediaType "unsupported-media-type" 415 "the body must be application/json";
    /// The bundle or command cannot be taken.
    Refused "refused" 422 "the request was refused";
    /// Too many requests from one address.
    TooManyRequests "too-many-requests" 429 "too many requests";
    /// Too many wait for the product.
    TooManyWaiting "too-many-waiting" 429 "too many wait for this product";
    /// The server has a defect or a broken disk.
    Internal "internal" 500 "the server failed";
    /// The server stays silent: ask the primary.
    Standby "standby" 503 "this server stands by";
    /// The server starts, or hands over.
    Recovering "recovering" 503 "the server is recovering";
    /// The server has no bundle.
    Unconfigured "unconfigured" 503 "the server has no configuration yet";
    /// The server may not know every lease yet.
    Grace "grace" 503 "the server grants nothing new yet";
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ProblemCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ProblemCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Ok(text.parse().unwrap_or(Self::Unknown))
    }
}

impl JsonSchema for ProblemCode {
    fn schema_name() -> Cow<'static, str> {
        "ProblemCode".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let codes: Vec<_> = Self::ALL.iter().map(|code| code.as_str()).collect();
        schemars::json_schema!({
            "type": "string", "enum": codes, "description": "What kind of error, for programs."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_five_fields_of_every_problem_and_no_empty_ones() {
        let problem =
            Problem::new(ProblemCode::Grace, "ask again").retry_after(Span::from_ms(1500));
        let json = serde_json::to_value(&problem).expect("JSON");
        insta::assert_json_snapshot!(json, @r#"
        {
          "code": "grace",
          "detail": "ask again",
          "retryAfterMs": 1500,
          "status": 503,
          "title": "the server grants nothing new yet",
          "type": "urn:tandem:problem:grace"
        }
        "#);
        assert_eq!(serde_json::from_value::<Problem>(json).expect("the same"), problem);
    }

    #[test]
    fn a_code_of_a_newer_server_is_read_as_unknown() {
        let code: ProblemCode = serde_json::from_str("\"of-tomorrow\"").expect("any text");
        assert_eq!(code, ProblemCode::Unknown);
        for code in ProblemCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
    }
}
