//! The tables: what is kept under which key, and how a write changes them.
//!
//! Values are JSON of the types that they are, the bundle its canonical bytes. A statement is never removed.

use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable as _, Table, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{StoreError, damaged, not_written};
use crate::bundle::Config;
use crate::ledger::{Contents, End, Lease, Position, Quotas, Record, Waiter};
use crate::measure::{Epoch, Generation, Span, Timestamp};
use crate::name::{BundleHash, UseId};
use crate::pair::{Committed, Durable, Facts, Write};
use crate::statement::SignedStatement;

/// The latest format of the tables. A change that an older program would misread makes the next.
const FORMAT: u64 = 1;

const FORMATS: TableDefinition<'_, &str, u64> = TableDefinition::new("format");
const SINGLES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("singles");
const STATEMENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("statements");
const LEASES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("leases");
const ENDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("ends");
const WAITERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("waiters");
const NONCES: TableDefinition<'_, &str, i64> = TableDefinition::new("nonces");

const FACTS: &str = "facts";
const COMMITTED: &str = "committed";
const BUNDLE: &str = "bundle";
const BEFORE: &str = "before";
const LEDGER: &str = "ledger";
const QUOTAS: &str = "quotas";

/// What is kept of the committed bundle beside its bytes and the statements.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommittedForm {
    generation: Generation,
    hash: BundleHash,
    at: Timestamp,
    ttl_longest: u64,
}

/// What is kept of the ledger beside its tables.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct LedgerForm {
    position: Position,
    knew: Epoch,
}

/// What the store remembers of its own tables, so that a write need not read them.
#[derive(Debug, Default)]
pub(super) struct State {
    ledger: LedgerForm,
    statement_next: u64,
}

/// Makes the tables of an empty database.
pub(super) fn create(transaction: &WriteTransaction) -> Result<(), StoreError> {
    let mut formats = transaction.open_table(FORMATS).map_err(not_written)?;
    formats.insert("format", FORMAT).map_err(not_written)?;
    transaction.open_table(SINGLES).map_err(not_written)?;
    transaction.open_table(STATEMENTS).map_err(not_written)?;
    transaction.open_table(LEASES).map_err(not_written)?;
    transaction.open_table(ENDS).map_err(not_written)?;
    transaction.open_table(NONCES).map_err(not_written)?;
    transaction.open_table(WAITERS).map_err(not_written)?;
    Ok(())
}

/// Reads everything.
pub(super) fn load(transaction: &ReadTransaction) -> Result<(State, Durable), StoreError> {
    check_format(transaction)?;
    let mut statements = Vec::new();
    let mut state = State::default();
    let table = transaction.open_table(STATEMENTS).map_err(damaged)?;
    for entry in table.iter().map_err(damaged)? {
        let (at, bytes) = entry.map_err(damaged)?;
        state.statement_next = at.value().saturating_add(1);
        follow(&mut statements, parse("a statement", bytes.value())?);
    }

    let singles = transaction.open_table(SINGLES).map_err(damaged)?;
    let single = |key: &str| singles.get(key).map_err(damaged);
    let facts = match single(FACTS)? {
        Some(bytes) => parse("the facts", bytes.value())?,
        None => Facts::default(),
    };
    if let Some(bytes) = single(LEDGER)? {
        state.ledger = parse("the ledger's position", bytes.value())?;
    }
    let committed = match single(COMMITTED)? {
        None => None,
        Some(bytes) => {
            let form: CommittedForm = parse("the committed bundle", bytes.value())?;
            let bundle = single(BUNDLE)?.ok_or_else(|| damaged("the bundle is missing"))?;
            if BundleHash::of(bundle.value()) != form.hash {
                return Err(damaged("the bundle has another hash"));
            }
            let config = Arc::new(Config::decode(bundle.value())?);
            let before = match single(BEFORE)? {
                Some(before) => Some(Arc::new(Config::decode(before.value())?)),
                None => None,
            };
            Some(Committed {
                generation: form.generation,
                config,
                before,
                statements,
                at: form.at,
                ttl_longest: Span::from_ms(form.ttl_longest),
            })
        }
    };

    let LedgerForm { position, knew } = state.ledger;
    let quotas = match single(QUOTAS)? {
        Some(bytes) => parse("the quotas", bytes.value())?,
        None => Quotas::default(),
    };
    let mut ledger = Contents { position, knew, quotas, ..Contents::default() };
    let table = transaction.open_table(LEASES).map_err(damaged)?;
    for entry in table.iter().map_err(damaged)? {
        ledger.leases.push(parse::<Lease>("a lease", entry.map_err(damaged)?.1.value())?);
    }
    let table = transaction.open_table(ENDS).map_err(damaged)?;
    for entry in table.iter().map_err(damaged)? {
        ledger.ends.push(parse::<End>("the end of a lease", entry.map_err(damaged)?.1.value())?);
    }
    let table = transaction.open_table(NONCES).map_err(damaged)?;
    for entry in table.iter().map_err(damaged)? {
        let (nonce, expires) = entry.map_err(damaged)?;
        ledger.nonces.push((nonce.value().to_owned(), Timestamp::from_ms(expires.value())));
    }
    match transaction.open_table(WAITERS) {
        // A store of a version that had no queue.
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        table => {
            for entry in table.map_err(damaged)?.iter().map_err(damaged)? {
                let bytes = entry.map_err(damaged)?.1;
                ledger.waiters.push(parse::<Waiter>("a waiter", bytes.value())?);
            }
        }
    }
    Ok((state, Durable { facts, committed, ledger }))
}

/// Appends a statement to the chain. One that was committed later takes the place of those of its number and above:
/// they lost against it, and are kept without being offered to anybody.
fn follow(chain: &mut Vec<SignedStatement>, statement: SignedStatement) {
    let generation = |signed: &SignedStatement| signed.read().map(|read| read.generation).ok();
    if let Some(number) = generation(&statement) {
        chain.retain(|known| generation(known).is_none_or(|known| known < number));
    }
    chain.push(statement);
}

fn check_format(transaction: &ReadTransaction) -> Result<(), StoreError> {
    let table = transaction.open_table(FORMATS).map_err(damaged)?;
    let found = table.get("format").map_err(damaged)?;
    match found.map(|found| found.value()) {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(StoreError::Newer { found, known: FORMAT }),
        _ => Err(damaged("it has no format that this program knows")),
    }
}

/// The tables, open for one transaction.
struct Tables<'t> {
    singles: Table<'t, &'static str, &'static [u8]>,
    statements: Table<'t, u64, &'static [u8]>,
    leases: Table<'t, &'static str, &'static [u8]>,
    ends: Table<'t, &'static str, &'static [u8]>,
    nonces: Table<'t, &'static str, i64>,
    waiters: Table<'t, &'static str, &'static [u8]>,
}

/// Changes the tables as the writes say, in their order. After an error `state` is void.
pub(super) fn apply(
    transaction: &WriteTransaction,
    state: &mut State,
    writes: &[Write],
) -> Result<(), StoreError> {
    let mut tables = Tables::open(transaction)?;
    let mut ledger_changed = false;
    for write in writes {
        match write {
            Write::Facts(facts) => tables.put(FACTS, facts)?,
            Write::Commit(committed) => tables.commit(state, committed)?,
            Write::RolesBegin => tables.forget_before()?,
            Write::Record(position, record) => {
                ledger_changed = true;
                state.ledger.follow(*position);
                tables.record(record)?;
            }
            Write::Ledger(contents) => {
                ledger_changed = true;
                state.ledger = LedgerForm { position: contents.position, knew: contents.knew };
                tables.replace(contents)?;
            }
            Write::Forget { uses, nonces } => tables.forget(uses, nonces)?,
        }
    }
    if ledger_changed {
        tables.put(LEDGER, &state.ledger)?;
    }
    Ok(())
}

impl LedgerForm {
    /// A record was kept.
    fn follow(&mut self, position: Position) {
        self.knew = self.position.knew_in(position.epoch, self.knew);
        self.position = position;
    }
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            singles: transaction.open_table(SINGLES).map_err(not_written)?,
            statements: transaction.open_table(STATEMENTS).map_err(not_written)?,
            leases: transaction.open_table(LEASES).map_err(not_written)?,
            ends: transaction.open_table(ENDS).map_err(not_written)?,
            nonces: transaction.open_table(NONCES).map_err(not_written)?,
            waiters: transaction.open_table(WAITERS).map_err(not_written)?,
        })
    }

    fn put<T: Serialize>(&mut self, key: &str, value: &T) -> Result<(), StoreError> {
        self.singles.insert(key, &*json(value)?).map_err(not_written)?;
        Ok(())
    }

    fn commit(&mut self, state: &mut State, committed: &Committed) -> Result<(), StoreError> {
        let Committed { generation, config, before, statements, at, ttl_longest } = committed;
        let form = CommittedForm {
            generation: *generation,
            hash: committed.hash(),
            at: *at,
            ttl_longest: ttl_longest.ms(),
        };
        self.put(COMMITTED, &form)?;
        self.singles.insert(BUNDLE, config.bundle.bytes()).map_err(not_written)?;
        match before {
            Some(before) => {
                self.singles.insert(BEFORE, before.bundle.bytes()).map_err(not_written)?;
            }
            None => self.forget_before()?,
        }
        for statement in statements {
            let bytes = json(statement)?;
            self.statements.insert(state.statement_next, &*bytes).map_err(not_written)?;
            state.statement_next = state.statement_next.saturating_add(1);
        }
        Ok(())
    }

    fn forget_before(&mut self) -> Result<(), StoreError> {
        self.singles.remove(BEFORE).map_err(not_written)?;
        Ok(())
    }

    fn record(&mut self, record: &Record) -> Result<(), StoreError> {
        match record {
            Record::Lease { lease, ended } => {
                self.insert_lease(lease)?;
                lease.uses.keys().try_for_each(|use_id| self.remove_waiter(use_id))?;
                self.insert_ends(ended)
            }
            Record::Ended { lease, ended } => {
                self.leases.remove(lease.folded()).map_err(not_written)?;
                self.insert_ends(ended)
            }
            Record::Waits { waiter } => self.insert_waiter(waiter),
            Record::Left { use_id } => self.remove_waiter(use_id),
            Record::Nonce { nonce, expires } => self.insert_nonce(nonce, *expires),
            Record::Quotas(quotas) => self.put(QUOTAS, quotas),
        }
    }

    fn replace(&mut self, contents: &Contents) -> Result<(), StoreError> {
        self.leases.retain(|_, _| false).map_err(not_written)?;
        self.ends.retain(|_, _| false).map_err(not_written)?;
        self.nonces.retain(|_, _| false).map_err(not_written)?;
        self.waiters.retain(|_, _| false).map_err(not_written)?;
        for lease in &contents.leases {
            self.insert_lease(lease)?;
        }
        for (nonce, expires) in &contents.nonces {
            self.insert_nonce(nonce, *expires)?;
        }
        self.put(QUOTAS, &contents.quotas)?;
        self.insert_ends(&contents.ends)?;
        contents.waiters.iter().try_for_each(|waiter| self.insert_waiter(waiter))
    }

    fn forget(&mut self, uses: &[UseId], nonces: &[String]) -> Result<(), StoreError> {
        for use_id in uses {
            self.ends.remove(use_id.folded()).map_err(not_written)?;
        }
        for nonce in nonces {
            self.nonces.remove(nonce.as_str()).map_err(not_written)?;
        }
        Ok(())
    }

    fn insert_lease(&mut self, lease: &Lease) -> Result<(), StoreError> {
        self.leases.insert(lease.id.folded(), &*json(lease)?).map_err(not_written)?;
        Ok(())
    }

    fn insert_ends(&mut self, ends: &[End]) -> Result<(), StoreError> {
        for end in ends {
            self.remove_waiter(&end.use_id)?;
            self.ends.insert(end.use_id.folded(), &*json(end)?).map_err(not_written)?;
        }
        Ok(())
    }

    fn insert_waiter(&mut self, waiter: &Waiter) -> Result<(), StoreError> {
        let key = waiter.use_id.folded();
        self.waiters.insert(key, &*json(waiter)?).map_err(not_written)?;
        Ok(())
    }

    fn remove_waiter(&mut self, use_id: &UseId) -> Result<(), StoreError> {
        self.waiters.remove(use_id.folded()).map_err(not_written)?;
        Ok(())
    }

    fn insert_nonce(&mut self, nonce: &str, expires: Timestamp) -> Result<(), StoreError> {
        self.nonces.insert(nonce, expires.ms()).map_err(not_written)?;
        Ok(())
    }
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(not_written)
}

fn parse<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(format_args!("{what}: {error}")))
}

#[cfg(test)]
pub(super) fn set_format(transaction: &WriteTransaction, format: u64) {
    let mut formats = transaction.open_table(FORMATS).expect("the table");
    formats.insert("format", format).expect("the format");
}
