//! What one core simulates: ten clients, two minutes in which the primary dies once, judged. In the core world on the
//! model log and on real stores, and the same seeds as whole servers on turmoil: the ratio is what the core world is
//! for. And what one commit of the store costs on a simulated disk, beside redb alone in its own memory.
//!
//! `cargo bench -p tandem-sim --bench worlds [-- core stores turmoil commits]`. Time is the processor's, spent on this
//! process: whatever else the machine does costs nothing.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
#![expect(clippy::expect_used, reason = "a benchmark of something that is broken measures nothing")]

use std::hint::black_box;

use redb::{Database, TableDefinition, backends::InMemoryBackend};
use rustix::time::{ClockId, clock_gettime};
use tandem::ledger::{Position, Record};
use tandem::measure::Epoch;
use tandem::pair::Write;
use tandem::store::Store;
use tandem_sim::run::{Run, Verdict, World, campaign};
use tandem_sim::scenario::Scenario;
use tandem_sim::seed::Choice;
use tandem_sim::subject::Subject;
use tandem_sim::world::disk::SimDisk;
use tandem_sim::world::setup::Setup;
use tandem_sim::world::{core_world, turmoil_world};

#[path = "../tests/support/mod.rs"]
mod support;

use support::lease;

/// Two minutes in which the primary dies once and comes back.
const SCENARIO: &str = "scenario: bench\nclients: {count: 10, hold: 10s..5m}\nlasts: 120s\nsteps:\n  - {at: 30s, crash: primary}\n  - {at: 60s, restart: primary}\n";
/// How often each is measured: the best counts, since only other work makes it slower.
const TIMES: usize = 5;
/// How many commits are measured at once.
const COMMITS: u32 = 5_000;

const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("leases");

fn main() {
    let scenario = Scenario::parse(SCENARIO).expect("it is well");
    let subject = Subject::example(None).expect("it is well");
    let plan = scenario.plan(&subject.manifest).expect("it fits");
    let setup = Setup::new(subject, plan, Vec::new());
    let on = |disk: u64| {
        let setup = &setup;
        move |seed| {
            let first = Choice { label: "disk".into(), of: 100, chosen: disk };
            core_world::replay(setup, seed, vec![first])
        }
    };
    let chosen: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|one| one == name);
    let mut rates = Vec::new();
    let mut measure = |name, world, seeds, run: &(dyn Fn(u64) -> Run + Sync)| {
        if is_chosen(name) {
            rates.push((name, rate(name, world, seeds, run)));
        }
    };
    println!("{:8} {:>10} {:>22}", "", "runs/s", "simulated seconds/s");
    measure("core", World::Core, 4_000, &on(0));
    measure("stores", World::Core, 40, &on(99));
    measure("turmoil", World::Turmoil, 2, &|seed| turmoil_world::run(&setup, seed));
    if let Some(((first, most), others)) = rates.split_first() {
        others.iter().for_each(|(name, rate)| println!("{first} / {name}: {:.1}", most / rate));
    }
    if is_chosen("commits") {
        let (ours, bare) = (best(|| commits(COMMITS)), best(|| bare_commits(COMMITS)));
        let each = |seconds: f64| seconds * 1e6 / f64::from(COMMITS);
        println!("store on a simulated disk, one record a commit  {:6.1} us", each(ours));
        println!("redb in its own memory, the same bytes          {:6.1} us", each(bare));
        println!("ratio                                           {:6.2}", ours / bare);
    }
}

/// Runs a second of one core.
fn rate(name: &str, world: World, seeds: u64, run: &(dyn Fn(u64) -> Run + Sync)) -> f64 {
    let jobs: Vec<_> = (0..seeds).map(|seed| (seed, world)).collect();
    let mut simulated = 0.0;
    let seconds = best(|| {
        let runs = campaign(&jobs, 1, &|seed, _| run(seed), &|_| true);
        assert!(runs.iter().all(|run| run.verdict() == Verdict::Held), "every run is well");
        simulated = runs.iter().map(|run| run.simulated_ms).sum::<u64>() as f64 / 1e3;
        black_box(runs);
    });
    let rate = seeds as f64 / seconds;
    println!("{name:8} {rate:10.2} {:22.0}", simulated / seconds);
    rate
}

/// The shortest of some attempts, in seconds of processor time.
fn best(mut run: impl FnMut()) -> f64 {
    let spent = || {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
    };
    let once = |_| {
        let begun = spent();
        run();
        spent() - begun
    };
    (0..TIMES).map(once).fold(f64::INFINITY, f64::min)
}

/// Commits of one lease each, of a hundred in turn.
fn commits(count: u32) {
    let disk = SimDisk::new();
    let (mut store, _) = Store::open(&disk).expect("a new store");
    for number in 0..count {
        let record =
            Record::Lease { lease: Box::new(lease(u64::from(number % 100))), ended: Vec::new() };
        let position = Position { epoch: Epoch(1), seq: u64::from(number) };
        store.write(&[Write::Record(position, record)]).expect("a write");
    }
}

/// The same in one table of a database that has no disk.
fn bare_commits(count: u32) {
    let database = Database::builder()
        .create_with_backend(InMemoryBackend::new())
        .expect("a database in memory");
    for number in 0..count {
        let lease = lease(u64::from(number % 100));
        let bytes = serde_json::to_vec(&lease).expect("it has a form");
        let transaction = database.begin_write().expect("a transaction");
        let mut table = transaction.open_table(TABLE).expect("a table");
        table.insert(lease.id.as_str(), &*bytes).expect("an insert");
        drop(table);
        transaction.commit().expect("a commit");
    }
}
