//! The program through its front door: one file a verb.

mod support;

mod cli {
    mod checkout;
    mod init;
    mod key;
    mod leases;
    mod license;
    mod program;
    mod validate;
    mod vendor;
}
