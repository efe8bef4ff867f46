//! What the pair refuses, as a problem.

use super::problem::{Holder, Problem, ProblemCode};
use crate::measure::Span;
use crate::pair::Refusal;

/// After how long to ask again where too many wait.
const CROWDED: Span = Span::from_secs(10);
/// After how long to ask a server again that is about to serve or to stand by.
const SOON: Span = Span::from_ms(200);

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = |code: ProblemCode, detail: &str| Self::new(code, detail);
        match refusal {
            Refusal::Unconfigured => problem(
                ProblemCode::Unconfigured,
                "this server has no configuration yet: apply a manifest to the pair",
            ),
            Refusal::Recovering => problem(
                ProblemCode::Recovering,
                "this server starts or hands over: ask again, or ask the other server",
            )
            .retry_after(SOON),
            Refusal::Standby => {
                problem(ProblemCode::Standby, "this server stands by: ask the other server")
            }
            Refusal::Grace { retry_after } => problem(
                ProblemCode::Grace,
                "this server may not know every lease yet and grants nothing new: ask again",
            )
            .retry_after(retry_after),
            Refusal::UnknownProduct => problem(
                ProblemCode::UnknownProduct,
                "no license that this server has offers this product",
            ),
            Refusal::UnknownLease => problem(
                ProblemCode::UnknownLease,
                "the lease is not known here, or this use of it has ended: check out again with a new `use`",
            ),
            Refusal::UseTaken => problem(
                ProblemCode::InvalidRequest,
                "this `use` is known for another product, user or host: make a new one for each checkout",
            ),
            Refusal::Denied => problem(
                ProblemCode::Denied,
                "an entry of `deny` matches: ask who keeps the manifest",
            ),
            Refusal::NotEntitled => problem(
                ProblemCode::NotEntitled,
                "no entry of `assign` matches: ask who keeps the manifest",
            ),
            Refusal::BorrowNotAllowed { why } => Self::new(ProblemCode::BorrowNotAllowed, why),
            Refusal::NotPaired { retry_after } => problem(
                ProblemCode::Grace,
                "this is done only while both servers keep every grant, and they are not in step: ask again",
            )
            .retry_after(retry_after),
            Refusal::TooManyWaiting => problem(
                ProblemCode::TooManyWaiting,
                "as many wait for this product as its queue takes: ask again later",
            )
            .retry_after(CROWDED),
            Refusal::NoSeatFree { why, holders, retry_after } => {
                let mut problem = Self::new(ProblemCode::NoSeatFree, why).retry_after(retry_after);
                let holder =
                    |(user, host, seats)| Holder { user: Some(user), host: Some(host), seats };
                problem.holders = holders.into_iter().map(holder).collect();
                problem
            }
            Refusal::Revoked { reason } => {
                let mut problem = Self::new(
                    ProblemCode::Revoked,
                    format!("the lease ends and cannot be renewed: {reason}"),
                );
                problem.reason = Some(reason);
                problem
            }
            Refusal::GenerationConflict => problem(
                ProblemCode::GenerationConflict,
                "another bundle was committed in between: plan and apply again",
            ),
            Refusal::NonceTaken => problem(
                ProblemCode::InvalidRequest,
                "this command was carried out before: sign it anew to repeat it",
            ),
            Refusal::FenceRefused { reason } | Refusal::HandoverRefused { reason } => {
                Self::new(ProblemCode::Refused, reason)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_product_says_who_holds_it_and_when_to_ask_again() {
        let refusal = Refusal::NoSeatFree {
            why: "`everyone` has no room".to_owned(),
            holders: vec![(
                "ana".parse().expect("a name"),
                "ws-1".parse().expect("a name"),
                crate::measure::Seats(2),
            )],
            retry_after: Span::from_secs(7),
        };
        let problem = Problem::from(refusal);
        assert_eq!(problem.status, 409);
        assert_eq!(problem.retry_after_ms, Some(Span::from_secs(7)));
        assert_eq!(problem.holders.len(), 1);
    }
}
