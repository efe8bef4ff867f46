//! Two servers in one process, over real sockets and disks: what the pair promises, through its front door.
#![expect(clippy::expect_used, reason = "tests")]

#[path = "support/servers.rs"]
mod servers;

mod pair {
    mod client;
    mod edits;
    mod failover;
    mod life;
    mod queue;
    mod replace;
}
