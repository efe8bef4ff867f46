//! Two bundles that were committed on the two sides of a split (rule 7): which of them both servers end with.
//!
//! The higher generation wins, on a tie the primary's; but one whose branch begins with the signature of somebody whom
//! the other side's bundle does not trust loses, whatever its number. Each server judges from the other's whole chain.

use serde::{Deserialize, Serialize};
use serde_json::Map;
use sha2::{Digest as _, Sha256};

use super::Pair;
use super::command::Commit;
use super::config::generation_of;
use super::io::Effect;
use crate::measure::{Generation, Timestamp};
use crate::name::BundleHash;
use crate::seen;
use crate::statement::{ApplyStatement, Keyring, Link, SignedStatement, Source};

/// A bundle that was committed here and gave way to another one that the peer had: it can be applied again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBundle {
    /// The number that it had.
    pub generation: Generation,
    /// Its hash.
    pub bundle: BundleHash,
    /// The fingerprint of the key that signed it.
    pub operator: String,
    /// When that was.
    pub at: Timestamp,
    /// Where it came from.
    pub source: Source,
}

impl From<ApplyStatement> for HeldBundle {
    fn from(statement: ApplyStatement) -> Self {
        let ApplyStatement { generation, bundle, operator, at, source, .. } = statement;
        Self { generation, bundle, operator, at, source }
    }
}

/// Names everything that was signed up to a statement: two servers with the same name share it all.
pub(super) fn digest_of(statements: &[SignedStatement]) -> Option<BundleHash> {
    let mut digest = None;
    for signed in statements {
        let mut hash = Sha256::new();
        if let Some(BundleHash(before)) = digest {
            hash.update(before);
        }
        hash.update(&signed.statement);
        digest = Some(BundleHash(hash.finalize().into()));
    }
    digest
}

/// What an offered chain has that this server's has not, and the other way round.
#[derive(Debug)]
pub(super) struct Fork<'a> {
    /// The generation of the last statement that both have; 0 for none.
    pub(super) common: Generation,
    /// How many statements of the offered chain, from its beginning, this server has too.
    pub(super) shared: usize,
    /// What this server has after the last common statement.
    pub(super) ours: &'a [SignedStatement],
}

impl<'a> Fork<'a> {
    pub(super) fn of(ours: &'a [SignedStatement], theirs: &[SignedStatement]) -> Self {
        let has = |signed: &&SignedStatement| {
            ours.iter().any(|known| known.statement == signed.statement)
        };
        let shared = theirs.iter().take_while(has).count();
        let last = shared.checked_sub(1).and_then(|last| theirs.get(last));
        let common = match (last, theirs.first()) {
            (Some(last), _) => generation_of(last),
            // Without a beginning in common, what is older than the offer is what it stands on.
            (None, Some(first)) => {
                let older = ours.iter().map(generation_of).filter(|it| *it < generation_of(first));
                older.max().unwrap_or_default()
            }
            (None, None) => Generation(0),
        };
        let after = ours.iter().take_while(|known| generation_of(known) <= common).count();
        Self { common, shared, ours: ours.get(after..).unwrap_or_default() }
    }
}

/// How many of the first bundles of two branches are the same on both.
pub(super) fn same_bundles(ours: &[SignedStatement], theirs: &[Link]) -> usize {
    let is_same = |(our, their): &(&SignedStatement, &Link)| {
        let their = &their.statement;
        our.read().is_ok_and(|our| (our.generation, our.bundle) == (their.generation, their.bundle))
    };
    ours.iter().zip(theirs).take_while(is_same).count()
}

impl Pair {
    /// Whether this server gives way to the other one's branch. `insists` says that the peer has refused ours.
    pub(super) fn gives_way(
        &self,
        ours: &[SignedStatement],
        theirs: &[Link],
        preferred: bool,
        insists: bool,
    ) -> bool {
        let (Some(our_first), Some(their_first), Some(their_last)) =
            (ours.first(), theirs.first(), theirs.last())
        else {
            return preferred;
        };
        let trusts = |keyring: &Keyring, link: &Link| keyring.find(&link.operator).is_some();
        let they_are_strange = !trusts(&self.keyring_of(self.generation()), their_first);
        // What the peer was started with is not known here: it says itself what it refuses.
        let at_peer = self.trust.with_operators(&their_last.statement.operators);
        let we_are_strange = our_first.verify(&at_peer).is_err();
        match (they_are_strange, we_are_strange) {
            (false, true) => true,
            (true, false) => preferred && insists,
            // Each a stranger to the other, or neither.
            _ => preferred,
        }
    }

    /// What is lost of this server's own when it takes that bundle.
    pub(super) fn lost_to(&self, commit: &Commit) -> Option<HeldBundle> {
        let first = commit.statements.first().map(generation_of)?;
        let runs = |signed: &SignedStatement| {
            signed.read().ok().map(|statement| (statement.generation, statement.bundle))
        };
        let kept = |known: &&SignedStatement| {
            let is_same = |signed: &SignedStatement| {
                signed.statement == known.statement || runs(signed) == runs(known)
            };
            generation_of(known) < first || commit.statements.iter().any(is_same)
        };
        let lost = self.statements().iter().rev().find(|known| !kept(known))?;
        lost.read().ok().map(HeldBundle::from)
    }

    /// Tells that a bundle of this server's gave way.
    pub(super) fn tell_held(&self, held: &HeldBundle, out: &mut Vec<Effect>) {
        seen!(BundleHeld);
        let mut details = Map::new();
        details.insert("reason".into(), "conflicting-bundle".into());
        details.insert("generation".into(), held.generation.0.into());
        details.insert("bundle".into(), held.bundle.to_string().into());
        details.insert("operator".into(), held.operator.clone().into());
        if let Some(commit) = &held.source.commit {
            details.insert("commit".into(), commit.clone().into());
        }
        self.event("held", details, out);
    }
}
