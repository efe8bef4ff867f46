//! The simulated world: net, clock, disk and entropy, named as the seams they stand behind.

pub mod disk;
