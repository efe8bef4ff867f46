//! Deterministic simulation of a Tandem pair: the same server and client code as production on a simulated
//! network, clock and disk, from one seed. Same seed, same build: the same run, in any process on any machine.

#[cfg(not(tokio_unstable))]
compile_error!(
    "the simulation needs `--cfg tokio_unstable` (it seeds the runtimes): a RUSTFLAGS variable in the environment \
     overrides `.cargo/config.toml`, so unset it or add the flag there"
);

pub mod actor;
pub mod check;
pub mod cli;
pub mod explore;
pub mod fuzz;
pub mod history;
pub mod mutants;
pub mod numbers;
pub mod oracle;
pub mod population;
pub mod record;
pub mod regression;
pub mod report;
pub mod run;
pub mod scenario;
pub mod seed;
pub mod shrink;
pub mod subject;
pub mod trace;
pub mod world;
