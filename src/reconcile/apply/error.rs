//! Why an apply did not do what it was asked, and what to do about it.

use super::super::decide::Hindrance;
use crate::api::{Problem, ProblemCode};
use crate::client::HttpError;
use crate::name::ServerName;
use crate::statement::SignError;

/// Why an apply changed nothing, or why it is not known whether it did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// It cannot be done as things stand.
    #[error(transparent)]
    Hindered(#[from] Hindrance),
    /// The bundle's operators do not have the key that signs: the next apply could not be signed.
    #[error(
        "the manifest does not have the key that signs it ({fingerprint}) in `trust.operators`"
    )]
    DropsSigner {
        /// The key's fingerprint.
        fingerprint: String,
    },
    /// The key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A server does not take it. Nothing has changed anywhere.
    #[error("nothing has changed: {}", refusals(.0))]
    Refused(Vec<Refusal>),
    /// No server said whether it committed.
    #[error("it is not known whether the change was made: {}", refusals(.0))]
    Unknown(Vec<Refusal>),
}

/// A server that does not take a bundle, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The server.
    pub server: ServerName,
    /// Why.
    pub why: Why,
}

/// Why a server does not take a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It says so.
    Problem(Box<Problem>),
    /// It did not answer.
    NoAnswer(HttpError),
    /// Its answer cannot be read.
    Garbled,
}

impl Why {
    /// The problem's code; `no-answer` where there is none.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Problem(problem) => problem.code.as_str(),
            Self::NoAnswer(_) | Self::Garbled => "no-answer",
        }
    }

    fn is(&self, code: ProblemCode) -> bool {
        matches!(self, Self::Problem(problem) if problem.code == code)
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Problem(problem) if problem.code == ProblemCode::GenerationConflict => {
                conflict(problem, f)
            }
            Self::Problem(problem) => problem.fmt(f),
            Self::NoAnswer(error) => error.fmt(f),
            Self::Garbled => f.write_str("its answer cannot be read"),
        }
    }
}

/// Who applied what runs, where the server says so.
fn conflict(problem: &Problem, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let (Some(generation), Some(operator)) = (problem.generation, &problem.operator) else {
        return write!(f, "{problem}");
    };
    write!(f, "generation {generation} was applied by {operator}")?;
    if let Some(at) = problem.at {
        write!(f, " at {at}")?;
    }
    match &problem.commit {
        Some(commit) => write!(f, " from commit {commit}"),
        None => Ok(()),
    }
}

fn refusals(refusals: &[Refusal]) -> String {
    let each = refusals.iter().map(|one| match &one.why {
        Why::NoAnswer(error) => format!("`{}` gave no answer: {error}", one.server),
        Why::Garbled => format!("`{}` gave an answer that cannot be read", one.server),
        why @ Why::Problem(_) => format!("`{}` refuses: {why}", one.server),
    });
    each.collect::<Vec<_>>().join("; ")
}

impl ApplyError {
    /// What to do about it, with the manifest's path for a command.
    #[must_use]
    pub fn help(&self, manifest: &str) -> Option<String> {
        let has = |code| match self {
            Self::Refused(all) | Self::Unknown(all) => all.iter().any(|one| one.why.is(code)),
            _ => false,
        };
        match self {
            Self::Hindered(Hindrance::Absent { .. }) => Some(format!(
                "start it, or apply to the other alone with `tandem apply --degraded {manifest}`: it takes the \
                 bundle from its peer when it returns"
            )),
            Self::Hindered(Hindrance::NotDegradable { .. } | Hindrance::Unknown { .. }) => {
                Some("start it and apply again".to_owned())
            }
            Self::Hindered(Hindrance::Unreachable) => {
                Some("start the servers: `tandem serve`, or both at once with `tandem up`".to_owned())
            }
            Self::DropsSigner { .. } => Some(
                "add the public key to `trust.operators`, or sign with another key (`--key FILE`)".to_owned(),
            ),
            Self::Sign(_) => None,
            Self::Unknown(_) => Some(format!("`tandem status {manifest}` says what runs")),
            Self::Refused(_) if has(ProblemCode::LargeChange) => Some(format!(
                "if that is what you want: `{}`",
                large_change_command(manifest)
            )),
            Self::Refused(_)
                if has(ProblemCode::GenerationConflict) || has(ProblemCode::UnknownStage) =>
            {
                Some(format!("`tandem plan {manifest}` shows what would change now"))
            }
            Self::Refused(_) if has(ProblemCode::UntrustedOperator) || has(ProblemCode::NoTrust) => Some(
                "sign with an operator's key of the manifest that runs, or start the server with `--trust KEY`"
                    .to_owned(),
            ),
            Self::Refused(_) => None,
        }
    }

    /// The fingerprints of the operators that it names.
    #[must_use]
    pub fn operators(&self) -> Vec<String> {
        let Self::Refused(all) = self else { return Vec::new() };
        let named = all.iter().filter_map(|one| match &one.why {
            Why::Problem(problem) => problem.operator.clone(),
            Why::NoAnswer(_) | Why::Garbled => None,
        });
        named.collect()
    }

    /// Whether a server holds it because it takes away more than the running manifest allows, and what it says.
    #[must_use]
    pub fn large_change(&self) -> Option<String> {
        match self {
            Self::Refused(all) => all
                .iter()
                .find(|one| one.why.is(ProblemCode::LargeChange))
                .map(|one| one.why.to_string()),
            _ => None,
        }
    }

    /// Whether the same apply may succeed later although nothing that was seen has changed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Hindered(_) | Self::DropsSigner { .. } => false,
            Self::Sign(_) | Self::Unknown(_) => true,
            Self::Refused(all) => all.iter().any(|one| match &one.why {
                Why::NoAnswer(_) | Why::Garbled => true,
                Why::Problem(problem) => {
                    problem.status >= 500
                        || matches!(
                            problem.code,
                            ProblemCode::GenerationConflict
                                | ProblemCode::UnknownStage
                                | ProblemCode::TooManyRequests
                        )
                }
            }),
        }
    }
}

/// The command that lets a large change through.
#[must_use]
pub fn large_change_command(manifest: &str) -> String {
    format!("tandem apply --allow-large-change {manifest}")
}
