//! The program through its front door: one file a verb.

mod support;

mod cli {
    mod checkout;
    mod completions;
    mod init;
    mod key;
    mod leases;
    mod license;
    mod man;
    mod program;
    mod schema;
    mod sim;
    mod validate;
    mod vendor;
}
