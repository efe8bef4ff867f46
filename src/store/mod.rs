//! The store: what a server must not forget, in one redb database of its data directory.
//!
//! It knows the shape of what is kept (`tables`), how it becomes durable (`writer`), and how redb reaches the disk
//! (`backend`). It decides nothing: the pair says what to write, and gets back at the start what was written.

mod backend;
mod tables;
mod writer;

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{Builder, Database, ReadableDatabase as _};

pub use writer::{Completions, Writer, WriterKind};

use crate::bundle::{BundleError, Config};
use crate::pair::{Durable, Write};
use crate::seam::disk::{Disk, Medium};

/// The database in a data directory.
const DATABASE: &str = "tandem.redb";
/// The database while it is made: one that was cut off in the making is replaced.
const DATABASE_NEW: &str = "tandem.redb.new";
/// The file whose lock says that a process uses the directory.
const LOCK: &str = "lock";
/// Bytes of memory for pages: all that is read again and again is in the pair's own memory.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Why a store cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the data directory.
    #[error(
        "another process uses this data directory: stop it, or let this server have another one"
    )]
    Locked,
    /// The file was written by a later version.
    #[error(
        "`{DATABASE}` has format {found}, this program knows up to {known}: use a newer tandem"
    )]
    Newer {
        /// The format found.
        found: u64,
        /// The latest that is known here.
        known: u64,
    },
    /// The file is not, or no longer, what this program wrote.
    #[error(
        "`{DATABASE}` cannot be read ({problem}): move this file away and start the server with `--trust` as at first; it \
         takes everything from its peer"
    )]
    Damaged {
        /// What is wrong.
        problem: String,
    },
    /// The bundle is what was written, but nothing that this program serves.
    #[error("the bundle on the disk cannot be read: {0}")]
    Bundle(#[from] BundleError),
    /// The disk failed.
    #[error("the data directory cannot be read or written: {0}")]
    Disk(#[from] io::Error),
    /// A write failed: what the disk holds is not known (pair.md, rule 11).
    #[error("`{DATABASE}` cannot be written: {problem}")]
    Write {
        /// What went wrong.
        problem: String,
    },
    /// An earlier write failed: nothing more is written before the store is opened again.
    #[error("`{DATABASE}` is not written any more since a write failed")]
    Stopped,
}

/// An open store. Dropped, it lets go of the data directory.
pub struct Store {
    database: Database,
    state: tables::State,
    failed: bool,
    // Held for its lock: dropped last.
    _lock: Arc<dyn Medium>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store of a data directory, making it where there is none, and reads all of it.
    ///
    /// # Errors
    /// Another process has the directory, the disk fails, or the file is damaged or of a later version.
    pub fn open(disk: &dyn Disk) -> Result<(Self, Durable), StoreError> {
        Self::open_knowing(disk, &[])
    }

    /// The same for somebody who has compiled bundles before: one of these is not compiled again.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_knowing(
        disk: &dyn Disk,
        known: &[Arc<Config>],
    ) -> Result<(Self, Durable), StoreError> {
        let lock = lock(disk)?;
        let medium = match disk.open(DATABASE)? {
            Some(medium) if medium.is_empty()? => return Err(damaged("it is empty")),
            Some(medium) => medium,
            None => create(disk)?,
        };
        let database = unpanicked(|| open_database(medium))?;
        let (state, durable) = unpanicked(|| {
            let transaction = database.begin_read().map_err(damaged)?;
            tables::load(&transaction, known)
        })?;
        Ok((Self { database, state, failed: false, _lock: lock }, durable))
    }

    /// Makes writes durable, all or none of them, in their order.
    ///
    /// # Errors
    /// The disk failed, now or before: open the store again to know what it holds.
    pub fn write(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        let Self { database, state, .. } = self;
        let result = unpanicked(|| {
            let transaction = database.begin_write().map_err(not_written)?;
            tables::apply(&transaction, state, writes)?;
            transaction.commit().map_err(not_written)
        });
        self.failed = result.is_err();
        result
    }
}

/// Takes the directory for this process.
fn lock(disk: &dyn Disk) -> Result<Arc<dyn Medium>, StoreError> {
    let medium = match disk.open(LOCK)? {
        Some(medium) => medium,
        None => disk.create(LOCK)?,
    };
    if medium.try_lock()? { Ok(medium) } else { Err(StoreError::Locked) }
}

/// Makes an empty database. It gets its name only when it is whole: one cut off in the making never opens again.
fn create(disk: &dyn Disk) -> Result<Arc<dyn Medium>, StoreError> {
    let medium = disk.create(DATABASE_NEW)?;
    unpanicked(|| {
        let database = open_database(Arc::clone(&medium))?;
        let transaction = database.begin_write().map_err(not_written)?;
        tables::create(&transaction)?;
        transaction.commit().map_err(not_written)
    })?;
    medium.sync()?;
    drop(medium);
    disk.rename(DATABASE_NEW, DATABASE)?;
    disk.open(DATABASE)?.ok_or_else(|| StoreError::Disk(io::ErrorKind::NotFound.into()))
}

fn open_database(medium: Arc<dyn Medium>) -> Result<Database, StoreError> {
    Builder::new()
        .set_cache_size(CACHE_BYTES)
        // A bit that rotted on the medium is found here and not taken for a lease.
        .set_check_integrity_on_open(true)
        .create_with_backend(backend::Backend(medium))
        .map_err(|error| match error {
            redb::DatabaseError::Storage(redb::StorageError::Io(error))
                if !matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                StoreError::Disk(error)
            }
            error => damaged(error),
        })
}

/// Runs redb where a file that lies could make it panic: that is an error of the file, never the end of the process.
fn unpanicked<T>(run: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let problem = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("the database broke off");
        Err(StoreError::Damaged { problem: problem.to_owned() })
    })
}

fn damaged(error: impl fmt::Display) -> StoreError {
    StoreError::Damaged { problem: error.to_string() }
}

fn not_written(error: impl fmt::Display) -> StoreError {
    StoreError::Write { problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::fixture::{self, MANIFEST};
    use crate::ledger::{
        Contents, End, EndReason, Lease, Position, Quotas, Record, Slots, Use, Waiter,
    };
    use crate::measure::{Epoch, Generation, Seats, Span, Timestamp};
    use crate::name::BundleHash;
    use crate::pair::{Committed, Facts, WriteId};
    use crate::seam::disk::Directory;
    use crate::statement::{ApplyStatement, MemoryKey, SignedStatement, Source};

    fn directory() -> (tempfile::TempDir, Directory) {
        let temporary = tempfile::tempdir().expect("a directory");
        let directory = Directory::open(&temporary.path().join("data")).expect("a directory");
        (temporary, directory)
    }

    fn lease(id: &str) -> Lease {
        let one = Use {
            seats: Seats(1),
            user: "ana".parse().expect("a name"),
            host: "ws-1".parse().expect("a name"),
            borrowed: None,
        };
        Lease {
            id: id.parse().expect("an id"),
            product: "designer".parse().expect("a name"),
            user: "ana".parse().expect("a name"),
            host: "ws-1".parse().expect("a name"),
            address: "127.0.0.1".parse().expect("an address"),
            uses: [(format!("use-of-{id}").parse().expect("a use"), one)].into(),
            assignment: 0,
            server: "lic-a".parse().expect("a name"),
            granted_at: Timestamp::from_ms(1),
            granted: Position::default(),
            heard: Epoch(1),
            ttl: Span::from_secs(300),
            forced: None,
            slots: Slots::default().with(&"lic-a".parse().expect("a name"), Seats(1)),
            parked: false,
        }
    }

    fn quotas(epoch: u64) -> Quotas {
        let at = serde_json::json!({"epoch": epoch, "seq": 1});
        let quotas = serde_json::json!({"at": at, "products": {"designer": {"lic-a": 8}}});
        serde_json::from_value(quotas).expect("quotas")
    }

    fn end(id: &str) -> End {
        End {
            lease: id.parse().expect("an id"),
            use_id: format!("use-of-{id}").parse().expect("a use"),
            reason: EndReason::Released,
            epoch: Epoch(1),
            knew: Epoch(0),
            at: Timestamp::from_ms(2),
            borrowed: None,
        }
    }

    fn waiter(id: &str) -> Waiter {
        Waiter {
            ticket: format!("ticket-of-{id}").parse().expect("a ticket"),
            use_id: format!("use-of-{id}").parse().expect("a use"),
            lease: id.parse().expect("an id"),
            product: "designer".parse().expect("a name"),
            user: "ana".parse().expect("a name"),
            host: "ws-1".parse().expect("a name"),
            address: "127.0.0.1".parse().expect("an address"),
            seats: Seats(1),
            arrived: Position { epoch: Epoch(1), seq: 3 },
            since: Timestamp::from_ms(3),
        }
    }

    fn granted(seq: u64, id: &str) -> Write {
        let record = Record::Lease { lease: Box::new(lease(id)), ended: Vec::new() };
        Write::Record(Position { epoch: Epoch(1), seq }, record)
    }

    fn ended(seq: u64, id: &str) -> Write {
        let id_of = id.parse().expect("an id");
        let record = Record::Ended { lease: id_of, ended: vec![end(id)] };
        Write::Record(Position { epoch: Epoch(1), seq }, record)
    }

    fn committed(generation: u64, statements: Vec<SignedStatement>) -> Write {
        let text = MANIFEST.replace("ttl: 5m", &format!("ttl: {generation}m"));
        let config = Config::compile(&fixture::bundle(&text)).expect("it compiles");
        Write::Commit(Box::new(Committed {
            generation: Generation(generation),
            config: Arc::new(config),
            before: None,
            statements,
            at: Timestamp::from_ms(5),
            ttl_longest: Span::from_secs(300),
        }))
    }

    #[test]
    fn the_bundle_in_effect_is_kept_until_the_roles_of_the_next_one_begin() {
        let (_temporary, directory) = directory();
        let ttl = |config: &Arc<Config>| config.bundle.manifest().leases.ttl.ms() / 60_000;
        let kept = |writes: &[Write]| {
            let (mut store, _) = Store::open(&directory).expect("a store");
            store.write(writes).expect("a write");
            drop(store);
            let (_store, durable) = Store::open(&directory).expect("a store");
            let committed = durable.committed.expect("a bundle");
            (ttl(&committed.config), committed.before.as_ref().map(ttl))
        };
        let Write::Commit(first) = committed(1, Vec::new()) else { panic!("a commit") };
        let Write::Commit(second) = committed(2, Vec::new()) else { panic!("a commit") };
        let before = Some(Arc::clone(&first.config));
        let waits = Write::Commit(Box::new(Committed { before, ..*second }));
        assert_eq!(kept(&[Write::Commit(first)]), (1, None));
        assert_eq!(kept(std::slice::from_ref(&waits)), (2, Some(1)));
        assert_eq!(kept(&[Write::RolesBegin]), (2, None));
        assert_eq!(kept(&[waits]), (2, Some(1)));
        assert_eq!(kept(&[committed(3, Vec::new())]), (3, None));
    }

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let (_temporary, directory) = directory();
        let (mut store, durable) = Store::open(&directory).expect("a new store");
        assert_eq!(durable.ledger, Contents::default());
        assert!(durable.committed.is_none());
        let facts = Facts { epoch: Epoch(3), met: true, ..Facts::default() };
        store
            .write(&[
                Write::Facts(facts.clone()),
                committed(1, vec![numbered(1, "a")]),
                granted(1, "a"),
                granted(2, "b"),
                ended(3, "a"),
                Write::Record(
                    Position { epoch: Epoch(1), seq: 4 },
                    Record::Nonce { nonce: "n".to_owned(), expires: Timestamp::from_ms(9) },
                ),
            ])
            .expect("a write");
        drop(store);

        let (_store, durable) = Store::open(&directory).expect("the same store");
        assert_eq!(durable.facts, facts);
        assert_eq!(durable.ledger.position, Position { epoch: Epoch(1), seq: 4 });
        assert_eq!(durable.ledger.leases, [lease("b")]);
        assert_eq!(durable.ledger.ends, [end("a")]);
        assert_eq!(durable.ledger.nonces, [("n".to_owned(), Timestamp::from_ms(9))]);
        let committed = durable.committed.expect("a bundle");
        assert_eq!(committed.generation, Generation(1));
        assert_eq!(committed.config.bundle.manifest().leases.ttl, Span::from_secs(60));
    }

    fn numbered(generation: u64, commit: &str) -> SignedStatement {
        let base = [("lic-a".parse().expect("a name"), Generation(generation - 1))].into();
        let source = Source {
            repository: None,
            commit: Some(commit.to_owned()),
            path: "tandem.yaml".to_owned(),
            dirty: false,
        };
        let statement = ApplyStatement::new(
            "studio-west".parse().expect("a name"),
            BundleHash::of(b""),
            base,
            Vec::new(),
            Timestamp::from_ms(0),
            source,
        );
        let key = MemoryKey::from_seed([7; 32], "ana");
        SignedStatement::sign_apply(statement, &key).expect("signed")
    }

    #[test]
    fn the_chain_is_kept_in_order_without_what_lost_and_only_the_last_bundle() {
        let (_temporary, directory) = directory();
        let (mut store, _) = Store::open(&directory).expect("a new store");
        let [one, lost, two, three] =
            [(1, "a"), (2, "b"), (2, "c"), (3, "d")].map(|(number, of)| numbered(number, of));
        store.write(&[committed(1, vec![one.clone()])]).expect("a write");
        store.write(&[committed(2, vec![lost])]).expect("a write");
        store.write(&[committed(3, vec![two.clone(), three.clone()])]).expect("a write");
        drop(store);
        let (_store, durable) = Store::open(&directory).expect("the same store");
        let committed = durable.committed.expect("a bundle");
        assert_eq!(committed.generation, Generation(3));
        assert_eq!(committed.statements, [one, two, three]);
    }

    #[test]
    fn a_ledger_that_is_replaced_leaves_nothing_of_the_old_one() {
        let (_temporary, directory) = directory();
        let (mut store, _) = Store::open(&directory).expect("a new store");
        store.write(&[granted(1, "a"), granted(2, "b"), ended(3, "b")]).expect("a write");
        let contents = Contents {
            position: Position { epoch: Epoch(2), seq: 7 },
            knew: Epoch(1),
            leases: vec![lease("c")],
            ends: vec![end("d")],
            nonces: vec![("n".to_owned(), Timestamp::from_ms(9))],
            waiters: vec![waiter("e")],
            quotas: quotas(2),
        };
        store.write(&[Write::Ledger(Box::new(contents.clone()))]).expect("a write");
        drop(store);
        let (mut store, durable) = Store::open(&directory).expect("the same store");
        assert_eq!(durable.ledger, contents);

        let forget = Write::Forget {
            uses: vec!["use-of-d".parse().expect("a use")],
            nonces: vec!["n".to_owned()],
        };
        store.write(&[forget]).expect("a write");
        drop(store);
        let (_store, durable) = Store::open(&directory).expect("the same store");
        assert_eq!((durable.ledger.ends.len(), durable.ledger.nonces.len()), (0, 0));
    }

    /// A run of writes of every kind, as numbers choose.
    fn written(choices: &[u8]) -> Vec<Write> {
        let mut epoch = 1;
        (1..)
            .zip(choices)
            .map(|(seq, choice)| {
                let id = format!("lease-{}", choice % 7);
                let position = Position { epoch: Epoch(epoch), seq };
                match choice / 32 {
                    0 => {
                        epoch += u64::from(choice % 3);
                        Write::Facts(Facts { epoch: Epoch(epoch), ..Facts::default() })
                    }
                    1 => committed(seq, vec![numbered(seq.saturating_sub(1).max(1), &id)]),
                    2 => Write::Forget {
                        uses: vec![format!("use-of-{id}").parse().expect("a use")],
                        nonces: vec![id],
                    },
                    3 => Write::Record(
                        position,
                        match choice % 3 {
                            0 => Record::Nonce { nonce: id, expires: Timestamp::from_ms(9) },
                            1 => Record::Waits { waiter: Box::new(waiter(&id)) },
                            _ => Record::Left { use_id: waiter(&id).use_id },
                        },
                    ),
                    4 if choice % 4 == 0 => Write::Ledger(Box::new(Contents {
                        position,
                        knew: Epoch(epoch / 2),
                        leases: vec![lease(&id)],
                        ends: vec![end("gone")],
                        nonces: vec![("n".to_owned(), Timestamp::from_ms(1))],
                        waiters: vec![waiter("waits")],
                        quotas: quotas(epoch),
                    })),
                    4 if choice % 4 == 1 => Write::Record(position, Record::Quotas(quotas(epoch))),
                    4 | 5 => Write::Record(
                        position,
                        Record::Ended { lease: id.parse().expect("an id"), ended: vec![end(&id)] },
                    ),
                    _ => Write::Record(
                        position,
                        Record::Lease { lease: Box::new(lease(&id)), ended: vec![end("other")] },
                    ),
                }
            })
            .collect()
    }

    /// In an order of its own, so that two can be compared.
    fn sorted(mut durable: Durable) -> String {
        durable.ledger.leases.sort_by(|one, other| one.id.cmp(&other.id));
        durable.ledger.ends.sort_by(|one, other| one.use_id.cmp(&other.use_id));
        durable.ledger.nonces.sort();
        durable.ledger.waiters.sort_by(|one, other| one.use_id.cmp(&other.use_id));
        durable.ledger.nonces.dedup();
        format!("{durable:?}")
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
        #[test]
        fn the_store_holds_what_the_model_of_a_disk_holds(
            choices in proptest::collection::vec(0_u8..=255, 1..60),
            batch in 1_usize..8,
        ) {
            let (_temporary, directory) = directory();
            let (mut store, mut model) = Store::open(&directory).expect("a new store");
            let writes = written(&choices);
            for writes in writes.chunks(batch) {
                store.write(writes).expect("a write");
                writes.iter().for_each(|write| model.apply(write));
            }
            drop(store);
            let (_store, durable) = Store::open(&directory).expect("the same store");
            proptest::prop_assert_eq!(sorted(durable), sorted(model));
        }
    }

    #[test]
    fn two_processes_cannot_have_one_directory() {
        let (_temporary, directory) = directory();
        let first = Store::open(&directory).expect("a new store");
        assert!(matches!(Store::open(&directory), Err(StoreError::Locked)));
        drop(first);
        Store::open(&directory).expect("the directory is free again");
    }

    #[test]
    fn a_foreign_file_is_an_error_and_stays_as_it_is() {
        let (_temporary, directory) = directory();
        let path = directory.path().join(DATABASE);
        for content in [&b""[..], b"not a database", &[0; 8192], &[0xff; 100_000]] {
            std::fs::write(&path, content).expect("a file");
            let error = Store::open(&directory).expect_err("no database");
            assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
            assert_eq!(std::fs::read(&path).expect("the file"), content);
        }
    }

    #[test]
    fn a_damaged_file_is_never_taken_for_another_truth() {
        let (_temporary, directory) = directory();
        let (mut store, _) = Store::open(&directory).expect("a new store");
        let many: Vec<_> = (1..40).map(|seq| granted(seq, &format!("lease-{seq}"))).collect();
        store.write(&many).expect("a write");
        store.write(&[committed(1, vec![numbered(1, "a")])]).expect("a write");
        drop(store);
        let truth = Store::open(&directory).expect("the store").1;
        let path = directory.path().join(DATABASE);
        let whole = std::fs::read(&path).expect("the file");
        for length in [1, 100, 5_000, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).expect("a file");
            let error = Store::open(&directory).expect_err("it is cut off");
            assert!(matches!(error, StoreError::Damaged { .. }), "{length}: {error:?}");
        }
        for at in (0..whole.len()).step_by(997) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, &bytes).expect("a file");
            match Store::open(&directory) {
                Ok((_, durable)) => assert_eq!(durable.ledger, truth.ledger, "byte {at}"),
                Err(StoreError::Damaged { .. }) => {}
                Err(error) => panic!("byte {at}: {error:?}"),
            }
        }
    }

    #[test]
    fn a_later_format_is_named() {
        let (_temporary, directory) = directory();
        let (store, _) = Store::open(&directory).expect("a new store");
        let transaction = store.database.begin_write().expect("a transaction");
        tables::set_format(&transaction, 7);
        transaction.commit().expect("a commit");
        drop(store);
        let error = Store::open(&directory).expect_err("a later format");
        assert_eq!(
            error.to_string(),
            "`tandem.redb` has format 7, this program knows up to 1: use a newer tandem"
        );
    }

    #[tokio::test]
    async fn a_writer_reports_the_last_durable_write_and_closes_the_store() {
        for kind in [WriterKind::Inline, WriterKind::Threaded] {
            let (_temporary, directory) = directory();
            let disk = Arc::new(directory.clone());
            let (mut writer, mut completions, _) =
                Writer::open(disk, kind).await.expect("a writer");
            for id in 1..=20 {
                writer.submit(WriteId(id), vec![granted(id, &format!("lease-{id}"))]);
            }
            let mut last = WriteId(0);
            while last < WriteId(20) {
                let next = completions.next().await.expect("durable");
                assert!(next > last);
                last = next;
            }
            drop(writer);
            completions.closed().await;
            let (_store, durable) = Store::open(&directory).expect("the store is closed");
            assert_eq!(durable.ledger.leases.len(), 20);
        }
    }
}
