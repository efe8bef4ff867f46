//! The reconciler: makes both servers run exactly what the manifest says.
//!
//! It looks at both servers, applies in two phases (stage both, then commit both) and watches files. What is
//! decided is decided by pure parts: `plan`, and `watch::steer`.

pub mod watch;
