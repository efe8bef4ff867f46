//! Clients of a pair: the library that an application links to hold a seat, whichever server lives.
//!
//! [`Client`] and [`Seat`] are what a vendor needs; [`Http`] is one request to one server. Which server to ask
//! next, and when, is decided in `failover`; nothing here knows the server's code.

mod driver;
mod endpoint;
mod http;
pub mod operator_key;
mod order;
#[cfg(test)]
pub(crate) mod scripted;
mod seat;
mod serving;
mod wire;

pub use endpoint::{Endpoint, EndpointError, ServersError, servers_from};
pub use http::{Answer, Http, HttpError};
pub use order::OrderError;
pub use seat::{
    CheckoutError, CheckoutRequest, Client, Lease, ReleaseError, Seat, Standing, WhyLost,
};
pub use serving::{AskError, Serving};
