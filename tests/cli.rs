//! The program through its front door: one file a verb.

#![expect(clippy::expect_used, reason = "a test says what must hold")]

#[expect(dead_code, reason = "shared with other tests")]
mod support;

mod cli {
    mod apply;
    mod borrow;
    mod checkout;
    mod completions;
    mod fence;
    mod handover;
    mod init;
    mod key;
    mod leases;
    mod license;
    mod man;
    mod plan;
    mod program;
    mod release;
    mod schema;
    mod serve;
    mod show;
    mod sim;
    mod status;
    mod up;
    mod validate;
    mod vendor;
    mod watch;
}
