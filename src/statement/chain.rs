//! The chain of statements that leads from what a server runs to what its peer runs.
//!
//! Each is verified by the operators named in the one before, so keys rotate while a server is down. Dates are not
//! looked at: they were, when each was staged.

use crate::measure::Generation;
use crate::name::PairName;

use super::{ApplyStatement, Keyring, OperatorKey, SignedStatement, StatementError};

/// One statement of a chain, believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it says.
    pub statement: ApplyStatement,
    /// Who signed it.
    pub operator: OperatorKey,
}

/// Why a chain leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// It has no statement.
    #[error("the peer sent no statement after generation {from}")]
    Empty {
        /// Where it was to begin.
        from: Generation,
    },
    /// An empty server found no statement that a `--trust` key signed.
    #[error("none of the peer's statements is signed by a `--trust` key of this server")]
    NoStart,
    /// A statement is not believed.
    #[error("the peer's statement {} of {of} is refused: {error}", at + 1)]
    Link {
        /// Which one, from 0.
        at: usize,
        /// How many there are.
        of: usize,
        /// Why.
        error: StatementError,
    },
    /// The numbers do not go up.
    #[error("the peer's statements go from generation {before} to {after}")]
    Order {
        /// The number before.
        before: Generation,
        /// The number that should be greater.
        after: Generation,
    },
    /// The pair's name changes on the way.
    #[error("the peer's statements go from the pair `{before}` to `{after}`")]
    Pair {
        /// The pair before.
        before: PairName,
        /// The other pair.
        after: PairName,
    },
}

/// Verifies a chain, oldest first, for a server that runs generation `from` and has this keyring. The last link is
/// about the bundle to run.
///
/// A server with no bundle (generation 0) starts from the first statement that a `--trust` key signed; those before
/// it are not for it.
///
/// # Errors
/// The first link that is not believed, does not go up, or changes the pair.
pub fn verify_chain(
    start: &Keyring,
    from: Generation,
    chain: &[SignedStatement],
) -> Result<Vec<Link>, ChainError> {
    let mut keyring = start.clone();
    let mut links: Vec<Link> = Vec::new();
    let mut before = from;
    for (at, signed) in chain.iter().enumerate() {
        let (statement, operator) = match signed.verify(&keyring) {
            Ok(verified) => verified,
            Err(StatementError::Untrusted { .. } | StatementError::NoTrust)
                if from == Generation(0) && links.is_empty() =>
            {
                continue;
            }
            Err(error) => return Err(ChainError::Link { at, of: chain.len(), error }),
        };
        if statement.generation <= before {
            return Err(ChainError::Order { before, after: statement.generation });
        }
        if let Some(Link { statement: last, .. }) = links.last()
            && last.pair != statement.pair
        {
            let (before, after) = (last.pair.clone(), statement.pair);
            return Err(ChainError::Pair { before, after });
        }
        before = statement.generation;
        keyring = keyring.with_operators(&statement.operators);
        links.push(Link { statement, operator });
    }
    match links.is_empty() {
        true if chain.is_empty() => Err(ChainError::Empty { from }),
        true => Err(ChainError::NoStart),
        false => Ok(links),
    }
}

#[cfg(test)]
mod tests {
    use super::super::apply::tests::statement;
    use super::super::{MemoryKey, Signs as _};
    use super::*;
    use crate::manifest::types::SshPublicKey;

    fn key(seed: u8) -> MemoryKey {
        MemoryKey::from_seed([seed; 32], "x")
    }

    fn listed(key: &MemoryKey) -> SshPublicKey {
        SshPublicKey(key.public().to_string())
    }

    /// A statement with this number, signed by one key, that names another as the next operator.
    fn link(generation: u64, signer: u8, next: u8) -> SignedStatement {
        let base = statement().base.into_keys().map(|server| (server, Generation(generation - 1)));
        let statement = ApplyStatement {
            generation: Generation(generation),
            base: base.collect(),
            operators: vec![listed(&key(next))],
            ..statement()
        };
        SignedStatement::sign_apply(statement, &key(signer)).expect("signed")
    }

    fn generations(
        start: &Keyring,
        from: u64,
        chain: &[SignedStatement],
    ) -> Result<Vec<u64>, ChainError> {
        let links = verify_chain(start, Generation(from), chain)?;
        Ok(links.into_iter().map(|link| link.statement.generation.0).collect())
    }

    #[test]
    fn keys_rotate_along_a_chain() {
        let ring = Keyring::new(&[listed(&key(1))], &[]);
        let chain = [link(8, 1, 2), link(9, 2, 3), link(12, 3, 3)];
        assert_eq!(generations(&ring, 7, &chain), Ok(vec![8, 9, 12]));
    }

    #[test]
    fn a_gap_in_a_chain_of_keys_is_refused() {
        let ring = Keyring::new(&[listed(&key(1))], &[]);
        let error = StatementError::Untrusted { fingerprint: key(2).public().fingerprint() };
        assert_eq!(
            generations(&ring, 7, &[link(8, 1, 1), link(9, 2, 3)]),
            Err(ChainError::Link { at: 1, of: 2, error })
        );
    }

    #[test]
    fn a_trust_key_is_accepted_beside_the_operators_all_along() {
        let ring = Keyring::new(&[listed(&key(1))], &[key(9).public().clone()]);
        let chain = [link(8, 1, 2), link(9, 9, 3), link(10, 3, 3)];
        assert_eq!(generations(&ring, 7, &chain), Ok(vec![8, 9, 10]));
    }

    #[test]
    fn an_empty_server_starts_from_what_a_trust_key_signed() {
        let ring = Keyring::new(&[], &[key(2).public().clone()]);
        let chain = [link(1, 1, 1), link(2, 1, 2), link(3, 2, 3), link(4, 3, 3)];
        assert_eq!(generations(&ring, 0, &chain), Ok(vec![3, 4]));
        assert_eq!(generations(&ring, 0, &chain[..2]), Err(ChainError::NoStart));
        // A server that runs something skips nothing.
        assert!(generations(&ring, 1, &chain).is_err());
    }

    #[test]
    fn numbers_go_up() {
        let ring = Keyring::new(&[listed(&key(1))], &[]);
        let order = |before, after| {
            Err(ChainError::Order { before: Generation(before), after: Generation(after) })
        };
        assert_eq!(generations(&ring, 8, &[link(8, 1, 1)]), order(8, 8));
        assert_eq!(generations(&ring, 7, &[link(9, 1, 1), link(8, 1, 1)]), order(9, 8));
        let from = Generation(7);
        assert_eq!(generations(&ring, 7, &[]), Err(ChainError::Empty { from }));
    }
}
