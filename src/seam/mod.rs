//! The seams to the world: net, clock, disk, entropy, each a trait and the real thing; and what the system says of
//! this process. Nothing else in the product may touch the operating system (clippy.toml bans the ways around).

pub mod agent;
pub mod clock;
pub mod disk;
pub mod entropy;
pub mod files;
pub mod net;
pub mod process;
pub mod regular;
pub mod stop;
pub mod terminal;
pub mod who;

use std::sync::Arc;

/// The world as a server or client sees it: one of each seam. Cheap to clone.
#[derive(Clone)]
pub struct World {
    /// Sockets.
    pub net: Arc<dyn net::Net>,
    /// Monotonic and wall time.
    pub clock: Arc<dyn clock::Clock>,
    /// Random bytes and the server's identity.
    pub entropy: Arc<dyn entropy::Entropy>,
}

impl World {
    /// The real world.
    #[must_use]
    pub fn real() -> Self {
        Self {
            net: Arc::new(net::Tcp),
            clock: Arc::new(clock::SystemClock::new()),
            entropy: Arc::new(entropy::OsEntropy),
        }
    }
}
