//! Replays what the core of a whole server was told: a pair alone, told the same at the same times, must order the same,
//! byte for byte. A finding of the turmoil world can so be studied without it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem::measure::Now;
use tandem::name::ServerName;
use tandem::pair::{Durable, Effect, Input, Pair};
use tandem::server::Observer;
use tandem::statement::Keyring;

use crate::trace;

/// What the cores of one server were told and ordered, over all of its processes. Clones write to one.
#[derive(Clone, Debug, Default)]
pub struct InputLog(Arc<Mutex<Vec<Step>>>);

#[derive(Debug)]
enum Step {
    /// A pair began with what its disk held.
    Begin { now: Now, accept_clock: bool, durable: Box<Durable> },
    /// It was told something.
    Told { now: Now, input: Box<Input> },
    /// It ordered something: the digest of it.
    Ordered(String),
}

/// A pair that was told the same ordered something else.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The disk held nothing to begin with, then and not now.
    #[error("input {0}: the pair does not begin")]
    Begin(usize),
    /// The orders differ.
    #[error("input {at}, {input}: the pair ordered something else than in the whole server")]
    Differs {
        /// Which input, counted from 1.
        at: usize,
        /// The input, in short.
        input: String,
    },
}

fn digest(effects: &[Effect]) -> String {
    trace::digest(format!("{effects:?}").as_bytes())
}

impl InputLog {
    fn steps(&self) -> MutexGuard<'_, Vec<Step>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a pair alone the same again; how many inputs there were.
    ///
    /// # Errors
    /// It orders something else.
    pub fn replay(&self, name: &ServerName, trust: &Keyring) -> Result<usize, ReplayError> {
        let mut pair: Option<Pair> = None;
        let (mut count, mut said) = (0, String::new());
        let mut effects = Vec::new();
        for step in self.steps().iter() {
            match step {
                Step::Begin { now, accept_clock, durable } => {
                    let (name, trust) = (name.clone(), trust.clone());
                    let begun = Pair::new(*now, name, trust, (**durable).clone(), *accept_clock);
                    pair = Some(begun.map_err(|_| ReplayError::Begin(count))?);
                }
                Step::Told { now, input } => {
                    count += 1;
                    said = format!("{input:?}").chars().take(60).collect();
                    effects.clear();
                    if let Some(pair) = &mut pair {
                        pair.handle(*now, (**input).clone(), &mut effects);
                    }
                }
                Step::Ordered(before) => {
                    if *before != digest(&effects) {
                        return Err(ReplayError::Differs { at: count, input: said });
                    }
                }
            }
        }
        Ok(count)
    }
}

impl Observer for InputLog {
    fn begin(&self, now: Now, accept_clock: bool, durable: &Durable) {
        let durable = Box::new(durable.clone());
        self.steps().push(Step::Begin { now, accept_clock, durable });
    }

    fn input(&self, now: Now, input: &Input) {
        self.steps().push(Step::Told { now, input: Box::new(input.clone()) });
    }

    fn effects(&self, effects: &[Effect]) {
        self.steps().push(Step::Ordered(digest(effects)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem::measure::{Moment, Timestamp};

    #[test]
    fn the_same_inputs_give_the_same_orders_and_another_order_is_noticed() {
        let (name, trust) = (ServerName::new("lic-a").expect("a name"), Keyring::default());
        let at = |ms| Now { moment: Moment::from_ms(ms), wall: Timestamp::from_ms(1_000_000) };
        let log = InputLog::default();
        log.begin(at(1), false, &Durable::default());
        let mut pair = Pair::new(at(1), name.clone(), trust.clone(), Durable::default(), false)
            .expect("it begins");
        for (ms, input) in [(2, Input::Connected), (600, Input::Deadline), (700, Input::Stop)] {
            let mut effects = Vec::new();
            log.input(at(ms), &input);
            pair.handle(at(ms), input, &mut effects);
            log.effects(&effects);
        }
        assert_eq!(log.replay(&name, &trust).expect("the same"), 3);
        log.effects(&[Effect::Disconnect]);
        let error = log.replay(&name, &trust).expect_err("another order");
        assert!(error.to_string().starts_with("input 3, Stop: "), "{error}");
    }
}
