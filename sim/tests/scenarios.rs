//! Every scenario that is built in holds on the example, for a few seeds.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::path::Path;

use tandem_sim::report::{Campaign, Command, human};
use tandem_sim::run::{Verdict, World, campaign};
use tandem_sim::scenario::{Builtin, Scenario, builtin};
use tandem_sim::subject::Subject;
use tandem_sim::world::setup::Setup;
use tandem_sim::world::{core_world, turmoil_world};

/// How many seeds each is run with: a build that is not optimized takes some twenty times as long for each as the one
/// that `.ci/run` runs many more with.
const SEEDS: u64 = 10;

fn holds(name: &str) {
    let Builtin { text, .. } = builtin(name).expect("it is built in");
    let scenario = Scenario::parse(text).expect("it reads");
    let subject = Subject::example(None).expect("the example is well");
    let setup = Setup::of(&scenario, subject, Path::new("")).expect("it fits");
    let promises = setup.plan.promises.clone();
    let mut seeds: Vec<_> = (0..SEEDS).map(|seed| (seed, World::Core)).collect();
    if setup.plan.needs_core().is_none() {
        seeds.push((0, World::Turmoil));
    }
    let run = |seed, world| match world {
        World::Core => core_world::run(&setup, seed),
        World::Turmoil => turmoil_world::run(&setup, seed),
    };
    let runs = campaign(&seeds, 2, &run, &|_| true);
    let campaign = Campaign {
        scenario: name.into(),
        subject: setup.subject.name.clone(),
        bundle: setup.subject.bundle.hash().to_string(),
        promises,
        command: Command::Seeds(format!("tandem-sim run {name}")),
        notes: Vec::new(),
        runs,
    };
    assert!(campaign.verdict() == Verdict::Held, "{}", human(&[campaign]));
}

macro_rules! scenarios {
    ($($test:ident = $name:literal),* $(,)?) => {
        $(#[test] fn $test() { holds($name); })*

        #[test]
        fn none_is_forgotten() {
            let tested = [$($name),*];
            assert!(Builtin::all().iter().map(|one| one.name).eq(tested));
        }
    };
}

scenarios![
    borrowed_seats = "borrowed-seats",
    clock_drift = "clock-drift",
    conflicting_bundles = "conflicting-bundles",
    cut_one_way = "cut-one-way",
    dead_leader = "dead-leader",
    degraded_apply = "degraded-apply",
    disk_stall = "disk-stall",
    dismissed_users = "dismissed-users",
    escrow_clock_drift = "escrow-clock-drift",
    escrow_drains = "escrow-drains",
    escrow_early_return = "escrow-early-return",
    escrow_fence = "escrow-fence",
    escrow_handover = "escrow-handover",
    escrow_lost_disk = "escrow-lost-disk",
    escrow_lowered_capacity = "escrow-lowered-capacity",
    escrow_outage = "escrow-outage",
    escrow_rush_hour = "escrow-rush-hour",
    escrow_stale_fence = "escrow-stale-fence",
    escrow_swapped_roles = "escrow-swapped-roles",
    failback = "failback",
    failing_disk = "failing-disk",
    failover = "failover",
    flapping_primary = "flapping-primary",
    graceful_stop = "graceful-stop",
    late_disk = "late-disk",
    license_ends_in_split = "license-ends-in-split",
    lone_survivor = "lone-survivor",
    lossy_link = "lossy-link",
    lost_disk = "lost-disk",
    lowered_capacity = "lowered-capacity",
    paused_primary = "paused-primary",
    planned_handover = "planned-handover",
    reload_during_failover = "reload-during-failover",
    repeated_requests = "repeated-requests",
    revoked_after_split = "revoked-after-split",
    role_encoding = "role-encoding",
    slow_link = "slow-link",
    split = "split",
    split_escrow = "split-escrow",
    stale_takeover = "stale-takeover",
    standalone_ends = "standalone-ends",
    suspended_clients = "suspended-clients",
    swapped_roles = "swapped-roles",
    thundering_herd = "thundering-herd",
    total_outage = "total-outage",
    unlearned_secondary = "unlearned-secondary",
    unlicensed_primary = "unlicensed-primary",
    waiting_clients = "waiting-clients",
];
