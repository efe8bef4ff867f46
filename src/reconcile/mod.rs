//! The reconciler: makes both servers run exactly what the manifest says.
//!
//! It looks at both servers, applies in two phases (stage both, then commit both) and watches files. What is
//! decided is decided by pure parts: `plan`, [`decide`] and `watch::steer`. Values come in, never paths, so that the
//! same code runs inside a simulation; only `watch` reads files.

pub mod apply;
pub mod decide;
pub mod desired;
pub mod event;
pub mod observe;
pub mod status;
pub mod watch;
