//! The simulated world: net, clock, disk and entropy, named as the seams they stand behind.

pub mod clock;
pub mod core_world;
pub mod disk;
pub mod entropy;
pub mod leak_net;
pub mod links;
pub mod net;
pub mod peer_tap;
pub mod replay;
mod rest;
pub mod setup;
pub mod tap;
pub mod turmoil_world;
