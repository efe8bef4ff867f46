//! When a pair is as it should be, in either world: what is expected of it at a time, and whether it has come to rest.

use tandem::manifest::types::Redundancy;
use tandem::measure::Span;

use crate::history::Said;
use crate::run::Unmet;
use crate::scenario::Expected;

/// How long both servers must be as they should before the pair counts as at rest.
pub(super) const REST_MS: u64 = 2_000;
/// What coming to rest may take beside the waits of the protocol.
const SLACK: Span = Span::from_secs(10);

/// How long coming to rest may take after everything was mended.
pub(super) fn within(redundancy: &Redundancy) -> Span {
    redundancy.failover_after.times(3) + redundancy.alone_after() + SLACK
}

/// What keeps the pair from being at rest: the first active, the second standby, both paired on one bundle.
pub(super) fn trouble([a, b]: [&str; 2], said: impl Fn(&str) -> Option<Said>) -> Option<String> {
    let Some(one) = said(a) else { return Some(format!("`{a}` does not answer")) };
    let Some(other) = said(b) else { return Some(format!("`{b}` does not answer")) };
    if one.state != "active" || other.state != "standby" {
        return Some(format!("`{a}` is {} and `{b}` is {}", one.state, other.state));
    }
    if (&one.bundle, one.generation) != (&other.bundle, other.generation) {
        return Some("the two run different bundles".into());
    }
    (!one.paired || !other.paired).then(|| "the two are not paired".into())
}

/// What is not as it was expected then; `state` tells what a server is, where it says anything.
pub(super) fn unmet(
    expected: &Expected,
    at: u64,
    state: impl Fn(&str) -> Option<String>,
) -> Option<Unmet> {
    for (server, wanted) in [(&expected.active, "active"), (&expected.standby, "standby")] {
        let Some(server) = server else { continue };
        let state = state(server).unwrap_or_else(|| "silent".to_owned());
        if state != wanted {
            return Some(Unmet { at, what: format!("`{server}` is {state}, not {wanted}") });
        }
    }
    None
}
