//! Scenes of two bundles that were committed on the two sides of a split (rule 7).

use super::*;
use crate::manifest::types::SshPublicKey;

fn key(seed: u8) -> MemoryKey {
    MemoryKey::from_seed([seed; 32], "an operator")
}

/// A bundle with these operators.
fn signed_by(seats: u32, operators: &[u8]) -> Config {
    let base = config(seats);
    let mut manifest = base.bundle.manifest().clone();
    manifest.trust.operators = public(operators);
    let files = base.bundle.licenses().iter();
    let files = files.map(|of| (of.server.clone(), of.file.clone(), of.pem.clone().into_bytes()));
    let bundle = Bundle::build(&manifest, files.collect()).expect("a bundle");
    Config::compile(&bundle).expect("it compiles")
}

fn public(operators: &[u8]) -> Vec<SshPublicKey> {
    operators.iter().map(|seed| SshPublicKey(key(*seed).public().to_string())).collect()
}

impl Script {
    /// Commits the next bundle to one server: so many seats, these operators, signed by that one.
    fn sign(&mut self, at: usize, seats: u32, operators: &[u8], signer: u8) {
        let base = self.pair(at).generation();
        let config = signed_by(seats, operators);
        let name = ServerName::new(["lic-a", "lic-b"][at]).expect("a name");
        let statement = ApplyStatement::new(
            config.pair.clone(),
            config.bundle.hash(),
            BTreeMap::from([(name, base)]),
            public(operators),
            self.time().wall,
            Source { repository: None, commit: None, path: "x".to_owned(), dirty: false },
        );
        let generation = statement.generation;
        let statement = SignedStatement::sign_apply(statement, &key(signer)).expect("signed");
        let config = Arc::new(config);
        let commit = Commit { config, statements: vec![statement], generation, base };
        let ticket = self.command(at, Command::Commit(Box::new(commit)));
        let answer = self.answer(ticket, 100);
        assert!(matches!(answer, Some(Reply::Committed { .. })), "{answer:?}");
    }

    fn seats(&self, at: usize) -> u32 {
        let config = self.pair(at).config().expect("a bundle");
        config
            .products
            .values()
            .next()
            .expect("a product")
            .capacity(Role::Primary, self.time().wall)
            .0
    }

    /// What each runs once the cut has healed: both the same, also after a restart.
    fn heals(&mut self) -> (u32, Generation) {
        self.cut = false;
        self.run(2_000);
        let ends = (self.seats(A), self.pair(A).generation());
        assert_eq!(ends, (self.seats(B), self.pair(B).generation()), "both run one bundle");
        assert_eq!(self.pair(A).statements(), self.pair(B).statements(), "of one chain");
        assert_eq!(self.states(), (State::Active, State::Standby));
        for at in [A, B] {
            self.kill(at);
            self.start(at);
        }
        self.run(1_000);
        assert_eq!(ends, (self.seats(A), self.pair(A).generation()));
        assert_eq!(ends, (self.seats(B), self.pair(B).generation()));
        ends
    }

    fn held(&self, at: usize) -> Option<u64> {
        self.pair(at).facts().held.as_ref().map(|held| held.generation.0)
    }
}

/// Both run generation 1 with three seats and these operators, and do not hear each other any more.
fn split(operators: &[u8]) -> Script {
    let mut script = Script::begin();
    // Operators of the bundles alone: nothing is trusted beside them once there is one.
    script.sign(A, 3, operators, 9);
    script.run(1_000);
    assert_eq!(script.pair(B).generation(), Generation(1));
    script.cut = true;
    script.hang_up();
    script.run(2 * FAILOVER + 1_000);
    script
}

#[test]
fn of_two_bundles_of_a_split_the_higher_generation_wins() {
    for (winner, loser) in [(A, B), (B, A)] {
        let mut script = split(&[1]);
        script.sign(winner, 4, &[1], 1);
        script.sign(winner, 5, &[1], 1);
        script.sign(loser, 6, &[1], 1);
        assert_eq!(script.heals(), (5, Generation(3)));
        assert_eq!((script.held(winner), script.held(loser)), (None, Some(2)));
        assert!(crate::seen::take().has(crate::seen::Mark::BundleHeld));
        // It can be applied again, and is not held any longer then.
        script.sign(A, 6, &[1], 1);
        script.run(4 * HEARTBEAT);
        assert_eq!((script.seats(A), script.seats(B)), (6, 6));
        assert_eq!((script.held(A), script.held(B)), (None, None));
    }
}

#[test]
fn of_two_bundles_of_one_number_the_primarys_wins() {
    let mut script = split(&[1]);
    script.sign(A, 4, &[1], 1);
    script.sign(B, 5, &[1], 1);
    assert_eq!(script.heals(), (4, Generation(2)));
    assert_eq!((script.held(A), script.held(B)), (None, Some(2)));
}

#[test]
fn a_branch_whose_keys_have_turned_over_is_followed_from_where_it_parts() {
    let mut script = split(&[1]);
    script.sign(A, 4, &[2], 1);
    script.sign(A, 5, &[2], 2);
    script.sign(B, 6, &[1], 1);
    assert_eq!(script.heals(), (5, Generation(3)));
}

#[test]
fn a_strangers_bundle_loses_whatever_its_number() {
    for (stranger, other) in [(A, B), (B, A)] {
        let mut script = split(&[1, 2]);
        // On one side an operator was removed; on the other it went on signing.
        script.sign(other, 4, &[1], 1);
        for _ in 0..3 {
            script.sign(stranger, 6, &[1, 2], 2);
        }
        assert_eq!(script.heals(), (4, Generation(2)));
        assert_eq!((script.held(stranger), script.held(other)), (Some(4), None));
        assert!(crate::seen::take().has(crate::seen::Mark::BundleRefused));
    }
}

#[test]
fn a_strangers_branch_loses_though_it_ends_in_the_same_bundle() {
    for (stranger, other) in [(A, B), (B, A)] {
        let mut script = split(&[1, 2]);
        script.sign(other, 4, &[1], 1);
        script.sign(stranger, 6, &[1], 2);
        script.sign(stranger, 4, &[1], 1);
        let bundles = [A, B].map(|at| script.pair(at).config().map(|config| config.bundle.hash()));
        assert_eq!(bundles[0], bundles[1]);
        assert_eq!(script.heals(), (4, Generation(2)));
    }
}

#[test]
fn what_follows_the_same_bundle_on_both_sides_is_no_strangers() {
    for (last, other) in [(A, B), (B, A)] {
        let mut script = split(&[1, 2]);
        // Each side was told by the one who is removed with it.
        script.sign(other, 4, &[1], 2);
        script.run(1_000);
        script.sign(last, 4, &[1], 2);
        script.sign(last, 6, &[1, 2], 1);
        assert_eq!(script.heals(), (6, Generation(3)));
        assert_eq!((script.held(A), script.held(B)), (None, None));
    }
}

#[test]
fn of_two_strangers_the_higher_generation_wins() {
    for (winner, loser) in [(A, B), (B, A)] {
        let mut script = split(&[1, 2]);
        script.sign(winner, 4, &[1], 1);
        script.sign(winner, 5, &[1], 1);
        script.sign(loser, 6, &[2], 2);
        assert_eq!(script.heals(), (5, Generation(3)));
        assert_eq!((script.held(winner), script.held(loser)), (None, Some(2)));
    }
}

#[test]
fn a_server_that_was_down_for_many_bundles_takes_the_last() {
    let mut script = split(&[1]);
    script.kill(B);
    for (seats, operators, signer) in [(4, [2], 1), (5, [3], 2), (6, [3], 3)] {
        script.sign(A, seats, &operators, signer);
    }
    script.start(B);
    script.cut = false;
    script.run(1_000);
    assert_eq!((script.seats(B), script.pair(B).generation()), (6, Generation(4)));
    assert_eq!(script.held(B), None);
}

#[test]
fn an_offer_that_came_while_another_bundle_was_written_is_made_again() {
    let mut script = Script::paired(3);
    script.kill(A);
    script.machines[A].disk = Durable::default();
    script.cut = true;
    script.start(A);
    script.run(10);
    // The disk is slow: an operator's bundle is being written when the peer brings one that came after it.
    script.disk_ms[A] = 2 * FAILOVER;
    script.ask_commit(A, config(4), 2);
    script.commit(B, config(4), 2);
    script.commit(B, config(5), 3);
    script.cut = false;
    script.run(FAILOVER);
    assert_eq!(script.pair(A).generation(), Generation(0));
    script.finish_writes(A);
    script.run(FAILOVER);
    assert_eq!(script.pair(A).generation(), Generation(3));
    assert_eq!(script.states(), (State::Active, State::Standby));
}
