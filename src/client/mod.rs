//! Clients of a pair: one request to one server, and what stands on it.
//!
//! Which server to ask next, and when, is decided in `failover`; nothing here knows the server's code.

mod endpoint;
mod http;
pub mod operator_key;
#[cfg(test)]
mod scripted;

pub use endpoint::{Endpoint, EndpointError, ServersError, servers_from};
pub use http::{Answer, Http, HttpError};
