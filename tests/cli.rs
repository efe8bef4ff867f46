//! The program through its front door: one file a verb.

#![expect(clippy::expect_used, reason = "a test's helpers may fail as the test does")]

mod support;

mod cli {
    mod init;
    mod key;
    mod license;
    mod program;
    mod vendor;
}
