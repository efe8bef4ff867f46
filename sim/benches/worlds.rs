//! How many runs a second one core makes: ten clients, two minutes, judged; in the core world, and the same seeds as
//! whole servers on turmoil. The ratio is what the core world is for.

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
#![expect(clippy::expect_used, reason = "a benchmark of something that is broken measures nothing")]

use std::hint::black_box;

use tandem::seam::World as Real;
use tandem_sim::run::{World, campaign};
use tandem_sim::scenario::Scenario;
use tandem_sim::subject::Subject;
use tandem_sim::world::setup::Setup;
use tandem_sim::world::{core_world, turmoil_world};

/// Two minutes in which the primary dies once and comes back.
const SCENARIO: &str = "scenario: bench\nclients: {count: 10, hold: 10s..5m}\nlasts: 120s\nsteps:\n  - {at: 30s, crash: primary}\n  - {at: 60s, restart: primary}\n";

/// How often each is measured: the best counts, since only other work makes it slower.
const TIMES: usize = 5;

fn main() {
    let scenario = Scenario::parse(SCENARIO).expect("it is well");
    let subject = Subject::example(None).expect("it is well");
    let plan = scenario.plan(&subject.manifest).expect("it fits");
    let setup = Setup::new(subject, plan, Vec::new());
    let run = |seed, world| match world {
        World::Core => core_world::run(&setup, seed),
        World::Turmoil => turmoil_world::run(&setup, seed),
    };
    let clock = Real::real().clock;
    let rate = |world, seeds: u64| {
        let jobs: Vec<_> = (0..seeds).map(|seed| (seed, world)).collect();
        let once = || {
            let begun = clock.now().moment;
            black_box(campaign(&jobs, 1, &run, &|_| {}));
            let took = clock.now().moment.since(begun).ms().max(1);
            seeds.saturating_mul(1_000_000) / took
        };
        let best = (0..TIMES).map(|_| once()).max().unwrap_or(0);
        // In thousandths of a run a second.
        println!("{:8} {}.{:03} runs a second", world.as_str(), best / 1_000, best % 1_000);
        best
    };
    let (core, turmoil) = (rate(World::Core, 2_000), rate(World::Turmoil, 2));
    println!("ratio    {}", core / turmoil.max(1));
}
