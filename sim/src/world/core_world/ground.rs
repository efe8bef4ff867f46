//! What every run of a setup shares: names, people, compiled bundles, the statements about them, and what becomes of
//! forged ones. Nothing in it depends on a seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tandem::bundle::Config;
use tandem::measure::{Generation, Timestamp};
use tandem::name::ServerName;
use tandem::statement::{ApplyStatement, Keyring, MemoryKey, SignedStatement, Signs as _, Source};

use crate::history::Terms;
use crate::population::{Person, crowd, in_turn, people};
use crate::scenario::{Action, Forgery};
use crate::subject::Subject;
use crate::world::setup::Setup;

/// What a statement is about: which bundle, under what number, on which generations.
type About = (usize, u64, [u64; 2]);

/// What every run of a setup shares.
#[derive(Debug)]
pub(crate) struct Ground {
    /// The date at which runs start.
    pub(super) start: Timestamp,
    /// The servers, the primary of the first bundle first.
    pub(super) servers: [ServerName; 2],
    /// Who wants seats.
    pub(super) people: Vec<Person>,
    /// What the people are called in a history.
    pub(super) names: Vec<Arc<str>>,
    /// What the servers are called in a history.
    pub(super) hosts: [Arc<str>; 2],
    /// The keys that servers are told to trust.
    pub(super) trust: Keyring,
    /// The first bundle, and what each reload applies.
    pub(super) bundles: Vec<Applied>,
    /// The same bundles, compiled.
    pub(super) configs: Vec<Arc<Config>>,
    /// What is offered.
    pub(super) forged: BTreeMap<Forgery, Offered>,
    statements: Mutex<BTreeMap<About, SignedStatement>>,
}

/// A bundle that is applied.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) config: Arc<Config>,
    pub(super) hash: String,
    pub(super) terms: Arc<Terms>,
    pub(super) signer: MemoryKey,
}

/// A bundle that no server may take, and what a server makes of it.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) hash: String,
    pub(super) terms: Arc<Terms>,
    /// Whether a server takes it to its stage.
    pub(super) is_taken: bool,
}

impl Ground {
    pub(crate) fn of(setup: &Setup) -> Result<Self, String> {
        let Setup { subject, plan, reloads, .. } = setup;
        let operator = Subject::operator(0);
        let trust = Keyring::new(&[], &[operator.public().clone()]);
        let wanted = match plan.clients {
            Some(count) => in_turn(&plan.products, count),
            None => crowd(&subject.config, &plan.products, subject.start),
        };
        let people = people(&subject.manifest, &subject.config, &wanted);
        let mut forged = BTreeMap::new();
        for (_, action) in &plan.actions {
            if let Action::Offer(forgery) = action {
                forged.insert(*forgery, Offered::of(subject, *forgery, &trust)?);
            }
        }
        let [primary, secondary] = &subject.config.servers;
        let bundles: Vec<_> = std::iter::once(subject).chain(reloads).map(Applied::of).collect();
        Ok(Self {
            start: subject.start,
            servers: [primary.name.clone(), secondary.name.clone()],
            hosts: [primary.name.as_str().into(), secondary.name.as_str().into()],
            names: people.iter().map(|person| person.name().into()).collect(),
            people,
            trust,
            configs: bundles.iter().map(|one| Arc::clone(&one.config)).collect(),
            bundles,
            forged,
            statements: Mutex::default(),
        })
    }

    /// What an operator says about a bundle, signed once for all runs.
    pub(super) fn statement(
        &self,
        bundle: usize,
        generation: Generation,
        base: [Option<Generation>; 2],
    ) -> Option<SignedStatement> {
        let number = |base: Option<Generation>| base.map_or(u64::MAX, |base| base.0);
        let key = (bundle, generation.0, base.map(number));
        let mut known = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signed) = known.get(&key) {
            return Some(signed.clone());
        }
        let Applied { config, signer, .. } = self.bundles.get(bundle)?;
        let named = self.servers.iter().zip(base);
        let base = named.filter_map(|(name, base)| base.map(|base| (name.clone(), base))).collect();
        let source =
            Source { repository: None, commit: None, path: "tandem.yaml".to_owned(), dirty: false };
        let (pair, hash) = (config.pair.clone(), config.bundle.hash());
        let operators = config.bundle.manifest().trust.operators.clone();
        let statement = ApplyStatement {
            generation,
            ..ApplyStatement::new(pair, hash, base, operators, self.start, source)
        };
        let signed = SignedStatement::sign_apply(statement, signer).ok()?;
        known.insert(key, signed.clone());
        Some(signed)
    }
}

impl Applied {
    fn of(subject: &Subject) -> Self {
        Self {
            config: Arc::clone(&subject.config),
            hash: subject.bundle.hash().to_string(),
            terms: Arc::new(subject.terms()),
            signer: subject.signer(0),
        }
    }
}

impl Offered {
    /// Judges a forged bundle once, as a server does at its stage: signature, form, licenses. The answer does not
    /// depend on the run.
    fn of(subject: &Subject, forgery: Forgery, trust: &Keyring) -> Result<Self, String> {
        let forged = subject.forged(forgery, 0).map_err(|error| error.to_string())?;
        let source =
            Source { repository: None, commit: None, path: "tandem.yaml".to_owned(), dirty: false };
        let (base, operators) = (BTreeMap::new(), forged.operators.clone());
        let statement = ApplyStatement::new(
            forged.pair.clone(),
            forged.hash,
            base,
            operators,
            subject.start,
            source,
        );
        let signed = SignedStatement::sign_apply(statement, &forged.operator)
            .map_err(|error| error.to_string())?;
        let keyring = trust.with_operators(&subject.manifest.trust.operators);
        let is_taken = signed.verify(&keyring).is_ok() && Config::decode(&forged.bytes).is_ok();
        Ok(Self { hash: forged.hash.to_string(), terms: Arc::new(forged.terms), is_taken })
    }
}
