//! Roles: a bundle that swaps them takes effect when both servers run it (rule 10), and whose epochs are whose.
//!
//! Until then each server keeps the bundle before, with its role and its licenses. The active server begins: it hands
//! over to the new primary, or stays active where it is that. The other one follows once it hears so. Epochs are no
//! matter of roles: odd ones stay with the server that was primary when the pair began.

use super::Pair;
use super::frame::Hello;
use super::io::{Effect, Write};
use super::phase::{Peering, Phase};
use crate::bundle::Config;
use crate::manifest::types::Role;
use crate::measure::Epoch;
use crate::{mutant, seen};

impl Pair {
    /// The role that takes effect once both servers run the bundle that is committed here, where that is another.
    #[must_use]
    pub fn next_role(&self) -> Option<Role> {
        let committed = self.committed.as_ref()?;
        committed.before.as_ref()?;
        committed.config.role_of(&self.me)
    }

    /// Whether the peer may not count on the roles of the committed bundle: they are not in effect here, or not durably.
    pub(super) fn roles_are_pending(&self) -> bool {
        self.next_role().is_some() || self.durable < self.lead_write
    }

    /// Whether this server could run a bundle: it is in it, and its role changes only where the other server is the
    /// same, which takes the other role.
    pub(super) fn has_place_in(&self, config: &Config) -> bool {
        let Some(next) = config.role_of(&self.me) else { return false };
        let same_peer = || {
            let peer = config.peer_of(&self.me).map(|peer| &peer.name);
            self.peer().map(|peer| &peer.name) == peer
        };
        self.role().is_none_or(|role| role == next || same_peer())
    }

    /// The bundle that stays in effect while another is committed, where that one changes this server's role.
    pub(super) fn stays_before(&self, config: &Config) -> Option<std::sync::Arc<Config>> {
        let changes = self.role().is_some() && self.role() != config.role_of(&self.me);
        if changes && !mutant!(RolesAtOnce) { self.config.clone() } else { None }
    }

    /// Roles that wait take effect: the active server begins where the two are paired, the other one follows.
    pub(super) fn consider_roles(&mut self, out: &mut Vec<Effect>) {
        if self.next_role().is_none() || self.committing.is_some() {
            return;
        }
        let Some(hello) = self.link.as_ref().and_then(|link| link.hello.as_ref()) else { return };
        let hash = self.committed.as_ref().map(|committed| committed.hash());
        if hello.generation != self.generation() || hello.bundle != hash {
            return;
        }
        let follows = !hello.pending;
        let begins = match &self.phase {
            Phase::Active(active) => active.peering == Peering::Paired && !active.is_in_grace(),
            _ => false,
        };
        if follows || begins {
            self.begin_roles(out);
        }
    }

    fn begin_roles(&mut self, out: &mut Vec<Effect>) {
        let Some(committed) = &mut self.committed else { return };
        committed.before = None;
        let config = committed.config.clone();
        let primary = config.server_of(Role::Primary).name.clone();
        let stays = primary == self.me;
        self.config = Some(config);
        let epoch = self.next_epoch();
        self.facts.epoch = epoch;
        self.lead(primary, epoch, out);
        if stays {
            seen!(BecamePrimary);
        } else {
            seen!(BecameSecondary);
            // It was the primary until now: nobody was missed.
            self.facts.heard = Some(self.now.wall);
            if matches!(self.phase, Phase::Active(_) | Phase::TakingOver) {
                self.facts.paired = false;
                self.stop_serving(out);
            }
        }
        self.recharge();
        self.event("role", self.configuration(), out);
        self.persist(vec![Write::Facts(self.facts.clone()), Write::RolesBegin], out);
        self.follow_lead(out);
        self.say_hello(out);
    }

    /// Which epochs this server makes: whoever was primary first makes the odd ones, and keeps to it.
    #[must_use]
    pub fn is_odd(&self) -> bool {
        self.facts.odd.unwrap_or(self.role() != Some(Role::Secondary))
    }

    /// Settles which epochs are this server's own, once it has a role: those that its peer does not make.
    pub(super) fn choose_parity(&mut self) {
        if self.facts.odd.is_none() && self.role().is_some() {
            let hello = self.link.as_ref().and_then(|link| link.hello.as_ref());
            let of_peer = hello.and_then(|hello| hello.odd);
            self.facts.odd = Some(of_peer.map_or(self.is_odd(), |odd| !odd));
        }
    }

    /// Two servers that make the same epochs have never met: the newer one changes, as a machine that takes the place of
    /// another may after the roles were swapped.
    pub(super) fn settle_parity(&mut self, hello: &Hello, out: &mut Vec<Effect>) {
        if self.facts.odd.is_none() || self.facts.odd != hello.odd {
            return;
        }
        let yields = match (self.facts.met, hello.met) {
            (mine, theirs) if mine != theirs => theirs,
            _ => self.role() == Some(Role::Secondary),
        };
        if !yields {
            return;
        }
        if matches!(&self.phase, Phase::TakingOver)
            || matches!(&self.phase, Phase::Active(active)
                if matches!(active.peering, Peering::GoingAlone | Peering::Merging))
        {
            // An epoch is being made durable: this is settled on the next connection.
            return self.disconnect(out);
        }
        seen!(ParityChanged);
        self.facts.odd = Some(!self.is_odd());
        let mut writes = Vec::new();
        if self.ledger.position().epoch > Epoch(0) {
            let epoch = self.next_epoch();
            self.facts.epoch = epoch;
            self.ledger.renumber(epoch);
            writes.push(Write::Ledger(Box::new(self.ledger.contents())));
        }
        writes.push(Write::Facts(self.facts.clone()));
        self.persist(writes, out);
        self.say_hello(out);
    }
}
