//! `tandem-sim`: the command line of the simulation.

fn main() {}
