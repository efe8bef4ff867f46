//! The store keeps what it acknowledged: the power fails in each operation of a run of writes, and any part of what
//! was not synced survives.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use tandem::ledger::{End, EndReason, Position, Record};
use tandem::measure::{Epoch, Generation, Span, Timestamp};
use tandem::pair::{Committed, Facts, Write};
use tandem::store::{Store, StoreError};
use tandem_sim::seed::Choices;
use tandem_sim::subject::Subject;
use tandem_sim::world::disk::SimDisk;

mod support;

use support::lease;

/// How many sets of surviving sectors are tried for each operation.
const SEEDS: u64 = 6;

/// A run of writes of every kind.
fn writes() -> Vec<Vec<Write>> {
    let position = |seq| Position { epoch: Epoch(1), seq };
    let subject = Subject::example(None).expect("the example");
    let mut writes = vec![
        vec![Write::Facts(Facts { epoch: Epoch(1), ..Facts::default() })],
        vec![Write::Commit(Box::new(Committed {
            generation: Generation(1),
            config: subject.config,
            before: None,
            statements: Vec::new(),
            at: Timestamp::from_ms(5),
            ttl_longest: Span::from_secs(300),
        }))],
    ];
    for number in 1..=6 {
        let record = Record::Lease { lease: Box::new(lease(number)), ended: Vec::new() };
        writes.push(vec![Write::Record(position(number), record)]);
    }
    let end = End {
        lease: "lease-2".parse().expect("an id"),
        use_id: "use-2".parse().expect("a use"),
        reason: EndReason::Released,
        epoch: Epoch(1),
        knew: Epoch(0),
        at: Timestamp::from_ms(9),
        borrowed: None,
    };
    let ended = Record::Ended { lease: "lease-2".parse().expect("an id"), ended: vec![end] };
    writes.push(vec![Write::Record(position(7), ended)]);
    writes
}

/// What the disk holds after so many writes.
fn states(writes: &[Vec<Write>]) -> Vec<String> {
    (0..=writes.len())
        .map(|count| {
            let disk = SimDisk::new();
            let (mut store, _) = Store::open(&disk).expect("a new store");
            for write in writes.iter().take(count) {
                store.write(write).expect("a write");
            }
            drop(store);
            found(&disk)
        })
        .collect()
}

fn found(disk: &SimDisk) -> String {
    format!("{:?}", Store::open(disk).expect("the store opens").1)
}

/// Opens the store and writes until it fails; how many writes were acknowledged.
fn run(disk: &SimDisk, writes: &[Vec<Write>]) -> usize {
    let Ok((mut store, _)) = Store::open(disk) else { return 0 };
    writes.iter().take_while(|write| store.write(write).is_ok()).count()
}

#[test]
fn a_power_cut_in_any_operation_loses_nothing_that_was_acknowledged() {
    let writes = writes();
    let states = states(&writes);
    let clean = SimDisk::new();
    run(&clean, &writes);
    let operations = clean.operations();
    assert!(operations > 20, "{operations} operations");
    for at in 1..=operations {
        for seed in 0..SEEDS {
            let disk = SimDisk::new();
            disk.power_off_in(at);
            let acknowledged = run(&disk, &writes);
            disk.power_on(&mut Choices::from_seed(seed * 1000 + at));
            let found = found(&disk);
            let held = states.iter().rposition(|state| *state == found);
            let allowed = held.is_some_and(|held| held == acknowledged || held == acknowledged + 1);
            assert!(
                allowed,
                "operation {at}, seed {seed}: {acknowledged} writes were acknowledged, found {held:?}"
            );
        }
    }
}

#[test]
fn after_a_sync_that_failed_nothing_is_written_until_the_store_is_opened_again() {
    let writes = writes();
    let states = states(&writes);
    for before in 0..writes.len() {
        let disk = SimDisk::new();
        let (mut store, _) = Store::open(&disk).expect("a new store");
        for write in writes.iter().take(before) {
            store.write(write).expect("a write");
        }
        disk.fail_syncs(1);
        assert!(store.write(&writes[before]).is_err());
        assert!(matches!(store.write(&writes[before]), Err(StoreError::Stopped)));
        drop(store);
        disk.detach();
        let found = found(&disk);
        let held = states.iter().rposition(|state| *state == found);
        assert!(
            held.is_some_and(|held| held == before || held == before + 1),
            "{before}: {held:?}"
        );
    }
}

#[test]
fn a_full_disk_is_an_error_and_no_loss() {
    let writes = writes();
    let states = states(&writes);
    let disk = SimDisk::new();
    let (mut store, _) = Store::open(&disk).expect("a new store");
    store.write(&writes[0]).expect("a write");
    disk.set_capacity(Some(1));
    // What fits into the pages that are there may still go well.
    let more = writes.iter().skip(1).take_while(|write| store.write(write).is_ok()).count();
    drop(store);
    disk.detach();
    disk.set_capacity(None);
    let found = found(&disk);
    let held = states.iter().rposition(|state| *state == found).expect("a state of the run");
    assert!(held == 1 + more || held == 2 + more, "{more} more writes, found {held}");
}
