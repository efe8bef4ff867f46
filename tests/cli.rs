//! The program through its front door: one file a verb.

mod support;

mod cli {
    mod init;
    mod key;
    mod license;
    mod program;
    mod vendor;
}
