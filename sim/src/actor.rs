//! Those who act in a run: whole servers, whole clients, the reconciler, and who should not be there.
//!
//! They are the product's own code behind the seams; what is here starts them and tells them what to want.

pub mod client;
pub mod observer;
pub mod reconciler;
pub mod server;
