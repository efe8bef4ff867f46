//! The program through its front door: one file a verb.

#![expect(clippy::expect_used, reason = "a test says what must hold")]

mod support;

mod cli {
    mod checkout;
    mod completions;
    mod fence;
    mod init;
    mod key;
    mod leases;
    mod license;
    mod man;
    mod program;
    mod release;
    mod schema;
    mod serve;
    mod sim;
    mod validate;
    mod vendor;
}
