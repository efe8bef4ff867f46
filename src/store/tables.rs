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
    /// Whether anybody may stand in the table of waiters.
    has_waiters: bool,
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

/// Reads everything. Bundles that are known are not compiled again.
pub(super) fn load(
    transaction: &ReadTransaction,
    known: &[Arc<Config>],
) -> Result<(State, Durable), StoreError> {
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
            let config = compiled(bundle.value(), form.hash, known)?;
            let before = match single(BEFORE)? {
                Some(before) => {
                    Some(compiled(before.value(), BundleHash::of(before.value()), known)?)
                }
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
    state.has_waiters = !ledger.waiters.is_empty();
    Ok((state, Durable { facts, committed, ledger }))
}

fn compiled(
    bytes: &[u8],
    hash: BundleHash,
    known: &[Arc<Config>],
) -> Result<Arc<Config>, StoreError> {
    match known.iter().find(|config| config.bundle.hash() == hash) {
        Some(config) => Ok(Arc::clone(config)),
        None => Ok(Arc::new(Config::decode(bytes)?)),
    }
}

/// Appends a statement to the chain. One that was committed later takes the place of those of its number and above:
/// they lost against it, and are kept without being offered to anybody.
fn follow(chain: &mut Vec<SignedStatement>, statement: SignedStatement) {
    if let Some(number) = statement.generation() {
        chain.retain(|known| known.generation().is_none_or(|known| known < number));
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

/// A table by texts.
type Texts<'t> = Table<'t, &'static str, &'static [u8]>;

/// The tables, for one transaction. Each is opened when it is needed: most writes are about one or two.
struct Tables<'t> {
    transaction: &'t WriteTransaction,
    singles: Option<Texts<'t>>,
    leases: Option<Texts<'t>>,
    ends: Option<Texts<'t>>,
    waiters: Option<Texts<'t>>,
}

/// A table that is open, or is opened now.
fn opened<'a, 't>(
    table: &'a mut Option<Texts<'t>>,
    transaction: &'t WriteTransaction,
    definition: TableDefinition<'static, &'static str, &'static [u8]>,
) -> Result<&'a mut Texts<'t>, StoreError> {
    match table {
        Some(table) => Ok(table),
        None => Ok(table.insert(transaction.open_table(definition).map_err(not_written)?)),
    }
}

/// Changes the tables as the writes say, in their order. After an error `state` is void.
pub(super) fn apply(
    transaction: &WriteTransaction,
    state: &mut State,
    writes: &[Write],
) -> Result<(), StoreError> {
    let (singles, leases, ends, waiters) = (None, None, None, None);
    let mut tables = Tables { transaction, singles, leases, ends, waiters };
    let mut ledger_changed = false;
    for write in writes {
        match write {
            Write::Facts(facts) => tables.put(FACTS, facts)?,
            Write::Commit(committed) => tables.commit(state, committed)?,
            Write::RolesBegin => tables.forget_before()?,
            Write::Record(position, record) => {
                ledger_changed = true;
                state.ledger.follow(*position);
                tables.record(state, record)?;
            }
            Write::Ledger(contents) => {
                ledger_changed = true;
                state.ledger = LedgerForm { position: contents.position, knew: contents.knew };
                tables.replace(state, contents)?;
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
    fn singles(&mut self) -> Result<&mut Texts<'t>, StoreError> {
        opened(&mut self.singles, self.transaction, SINGLES)
    }

    fn leases(&mut self) -> Result<&mut Texts<'t>, StoreError> {
        opened(&mut self.leases, self.transaction, LEASES)
    }

    fn ends(&mut self) -> Result<&mut Texts<'t>, StoreError> {
        opened(&mut self.ends, self.transaction, ENDS)
    }

    fn waiters(&mut self) -> Result<&mut Texts<'t>, StoreError> {
        opened(&mut self.waiters, self.transaction, WAITERS)
    }

    fn nonces(&self) -> Result<Table<'t, &'static str, i64>, StoreError> {
        self.transaction.open_table(NONCES).map_err(not_written)
    }

    fn put<T: Serialize>(&mut self, key: &str, value: &T) -> Result<(), StoreError> {
        self.singles()?.insert(key, &*json(value)?).map_err(not_written)?;
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
        self.singles()?.insert(BUNDLE, config.bundle.bytes()).map_err(not_written)?;
        match before {
            Some(before) => {
                self.singles()?.insert(BEFORE, before.bundle.bytes()).map_err(not_written)?;
            }
            None => self.forget_before()?,
        }
        let mut table = self.transaction.open_table(STATEMENTS).map_err(not_written)?;
        for statement in statements {
            let bytes = json(statement)?;
            table.insert(state.statement_next, &*bytes).map_err(not_written)?;
            state.statement_next = state.statement_next.saturating_add(1);
        }
        Ok(())
    }

    fn forget_before(&mut self) -> Result<(), StoreError> {
        self.singles()?.remove(BEFORE).map_err(not_written)?;
        Ok(())
    }

    fn record(&mut self, state: &mut State, record: &Record) -> Result<(), StoreError> {
        match record {
            Record::Lease { lease, ended } => {
                self.insert_lease(lease)?;
                lease.uses.keys().try_for_each(|use_id| self.remove_waiter(state, use_id))?;
                self.insert_ends(state, ended)
            }
            Record::Ended { lease, ended } => {
                self.leases()?.remove(lease.folded()).map_err(not_written)?;
                self.insert_ends(state, ended)
            }
            Record::Waits { waiter } => self.insert_waiter(state, waiter),
            Record::Left { use_id } => self.remove_waiter(state, use_id),
            Record::Nonce { nonce, expires } => self.insert_nonce(nonce, *expires),
            Record::Quotas(quotas) => self.put(QUOTAS, quotas),
        }
    }

    fn replace(&mut self, state: &mut State, contents: &Contents) -> Result<(), StoreError> {
        self.leases()?.retain(|_, _| false).map_err(not_written)?;
        self.ends()?.retain(|_, _| false).map_err(not_written)?;
        self.nonces()?.retain(|_, _| false).map_err(not_written)?;
        self.waiters()?.retain(|_, _| false).map_err(not_written)?;
        for lease in &contents.leases {
            self.insert_lease(lease)?;
        }
        for (nonce, expires) in &contents.nonces {
            self.insert_nonce(nonce, *expires)?;
        }
        self.put(QUOTAS, &contents.quotas)?;
        self.insert_ends(state, &contents.ends)?;
        contents.waiters.iter().try_for_each(|waiter| self.insert_waiter(state, waiter))
    }

    fn forget(&mut self, uses: &[UseId], nonces: &[String]) -> Result<(), StoreError> {
        for use_id in uses {
            self.ends()?.remove(use_id.folded()).map_err(not_written)?;
        }
        for nonce in nonces {
            self.nonces()?.remove(nonce.as_str()).map_err(not_written)?;
        }
        Ok(())
    }

    fn insert_lease(&mut self, lease: &Lease) -> Result<(), StoreError> {
        self.leases()?.insert(lease.id.folded(), &*json(lease)?).map_err(not_written)?;
        Ok(())
    }

    fn insert_ends(&mut self, state: &State, ends: &[End]) -> Result<(), StoreError> {
        for end in ends {
            self.remove_waiter(state, &end.use_id)?;
            self.ends()?.insert(end.use_id.folded(), &*json(end)?).map_err(not_written)?;
        }
        Ok(())
    }

    fn insert_waiter(&mut self, state: &mut State, waiter: &Waiter) -> Result<(), StoreError> {
        state.has_waiters = true;
        let key = waiter.use_id.folded();
        self.waiters()?.insert(key, &*json(waiter)?).map_err(not_written)?;
        Ok(())
    }

    fn remove_waiter(&mut self, state: &State, use_id: &UseId) -> Result<(), StoreError> {
        if state.has_waiters {
            self.waiters()?.remove(use_id.folded()).map_err(not_written)?;
        }
        Ok(())
    }

    fn insert_nonce(&mut self, nonce: &str, expires: Timestamp) -> Result<(), StoreError> {
        self.nonces()?.insert(nonce, expires.ms()).map_err(not_written)?;
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
