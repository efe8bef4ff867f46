//! What the parts of a server that answer see of the pair without asking it: published when it changes.

use std::sync::Arc;

use crate::api::token::thumbprint;
use crate::bundle::Config;
use crate::manifest::types::Server;
use crate::measure::Generation;
use crate::name::{PublicKey, ServerName};
use crate::pair::{Pair, Standing, State};

/// The pair as it was when it last changed in any of this.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Whether there is a pair to ask: not while a server starts again from its disk.
    pub(super) is_open: bool,
    /// What the server is and does.
    pub(super) standing: Standing,
    /// Whether it does what it is for.
    pub(super) is_ready: bool,
    /// Whether a connection to the peer is wanted.
    pub(super) takes_link: bool,
    /// Whether there is a connection to the peer.
    pub(super) is_connected: bool,
    /// The bundle that is in effect.
    pub(super) config: Option<Arc<Config>>,
    /// The bundle that is committed: another one while it waits to change the roles.
    pub(super) committed: Option<Arc<Config>>,
    /// Its number.
    pub(super) generation: Generation,
    /// The other server.
    pub(super) peer: Option<Server>,
    /// The peer's key: pinned, or learned where nothing is pinned; with its thumbprint.
    pub(super) peer_key: Option<(String, PublicKey)>,
}

impl View {
    /// A server that has not read its disk yet, or not again.
    pub(super) fn recovering() -> Self {
        Self {
            is_open: false,
            standing: Standing { role: None, state: State::Recovering },
            is_ready: false,
            takes_link: false,
            is_connected: false,
            config: None,
            committed: None,
            generation: Generation(0),
            peer: None,
            peer_key: None,
        }
    }

    /// The pair as it is.
    pub(super) fn of(pair: &Pair, is_connected: bool) -> Self {
        let peer = pair.peer().cloned();
        let key = peer_key(pair, peer.as_ref());
        Self {
            is_open: true,
            standing: pair.standing(),
            is_ready: pair.is_ready(),
            takes_link: pair.takes_link(),
            is_connected,
            config: pair.config().cloned(),
            committed: pair.committed().map(|committed| Arc::clone(&committed.config)),
            generation: pair.generation(),
            peer,
            peer_key: key.map(|key| (thumbprint(&key), key)),
        }
    }

    /// Whether the pair still looks like this.
    pub(super) fn is_of(&self, pair: &Pair, is_connected: bool) -> bool {
        let same_config = match (&self.config, pair.config()) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        self.is_open
            && same_config
            && self.standing == pair.standing()
            && self.is_ready == pair.is_ready()
            && self.takes_link == pair.takes_link()
            && self.is_connected == is_connected
            && self.generation == pair.generation()
            && self.peer_key.as_ref().map(|(_, key)| *key) == peer_key(pair, self.peer.as_ref())
    }

    /// The other server's name and address, for who should ask it.
    pub(super) fn other(&self, me: &ServerName) -> Option<&Server> {
        self.committed.as_ref().and_then(|config| config.peer_of(me))
    }
}

fn peer_key(pair: &Pair, peer: Option<&Server>) -> Option<PublicKey> {
    peer.and_then(|peer| peer.key.or(pair.facts().peer_key))
}
