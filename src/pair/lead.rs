//! Who leads: which server serves when both are well (rule 8).
//!
//! A role is configuration and decides whose licenses count, which epochs are a server's own and who wins a tie. To
//! lead is a fact of the pair: the primary does, unless service was handed over; of two words the later epoch counts.

use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::command::{Nonce, Refusal, Reply};
use super::io::{Effect, Facts, Ticket, Write, WriteId};
use super::phase::{Peering, Phase, Standby};
use super::{Pair, terms};
use crate::bundle::Config;
use crate::manifest::types::Role;
use crate::measure::{Epoch, Timestamp};
use crate::name::ServerName;
use crate::{mutant, seen};

/// Who leads, since it was last said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    /// The server that leads.
    pub server: ServerName,
    /// The epoch in which that was said.
    pub epoch: Epoch,
    /// When, by the wall clock of the server that said it.
    pub since: Timestamp,
}

/// Who leads a pair of this bundle: the primary, unless these facts say otherwise.
pub(super) fn leader<'a>(config: &'a Config, facts: &Facts) -> &'a ServerName {
    let said = facts.lead.as_ref();
    let named = said.and_then(|lead| {
        let role = config.role_of(&lead.server)?;
        Some(&config.server_of(role).name)
    });
    named.unwrap_or(&config.server_of(Role::Primary).name)
}

impl Pair {
    /// Which server serves when both are well; `None` without a bundle.
    #[must_use]
    pub fn leader(&self) -> Option<&ServerName> {
        self.config.as_deref().map(|config| leader(config, &self.facts))
    }

    /// Whether this server leads: it looks for its peer before it serves alone, is in step with nobody, and asks for
    /// its peer's ledger. The other one stays silent while it hears it.
    pub(super) fn is_leader(&self) -> bool {
        self.leader() == Some(&self.me)
    }

    /// What may be said of who leads: only what is durable here, or at the peer. Where nobody ever said it, that too:
    /// a peer that says nothing is of a version that knows of no handover.
    pub(super) fn lead_told(&self) -> Option<Lead> {
        let nobody_said = || {
            let server = self.leader()?.clone();
            Some(Lead { server, epoch: Epoch(0), since: Timestamp::from_ms(0) })
        };
        self.lead_told.clone().or_else(nobody_said)
    }

    /// From here on that server leads; told to the peer once the next write is durable.
    pub(super) fn lead(&mut self, server: ServerName, epoch: Epoch, out: &mut Vec<Effect>) {
        let since = self.now.wall;
        self.facts.lead = Some(Lead { server, epoch, since });
        self.lead_write = WriteId(self.written.0 + 1);
        self.tell_leader(out);
    }

    /// Tells the peer who leads, where that has just become durable here.
    pub(super) fn tell_lead_when_durable(&mut self, out: &mut Vec<Effect>) {
        if self.durable >= self.lead_write && !self.has_told_lead() {
            self.lead_told = self.facts.lead.clone();
            self.say_hello(out);
            self.consider_peer(out);
        }
    }

    /// Whether the peer, where it is connected, was told who leads: not until that is durable here.
    pub(super) fn has_told_lead(&self) -> bool {
        self.lead_told == self.facts.lead
    }

    /// The peer says who leads: the later word counts.
    pub(super) fn learn_lead(&mut self, theirs: Option<&Lead>, out: &mut Vec<Effect>) {
        let Some(theirs) = theirs else { return };
        let ours = self.facts.lead.as_ref().map(|lead| lead.epoch).unwrap_or_default();
        if ours >= theirs.epoch {
            return;
        }
        self.learn_epoch(theirs.epoch);
        self.facts.lead = Some(theirs.clone());
        self.lead_told = self.facts.lead.clone();
        self.tell_leader(out);
        self.follow_lead(out);
    }

    /// Does what whoever leads, or does not lead any longer, has to do.
    pub(super) fn follow_lead(&mut self, out: &mut Vec<Effect>) {
        let leads = self.is_leader();
        let now = self.now.moment;
        match &mut self.phase {
            // What the peer says is not durable here: to start again would be to forget it.
            Phase::Unlicensed if leads => return self.judge_licenses(out),
            Phase::Standby(_) if leads => {
                seen!(LedByWord);
                self.phase = Phase::Recovering { until: now + self.redundancy().failover_after };
            }
            Phase::Recovering { .. } | Phase::Unlicensed if !leads => {
                self.phase = Phase::Standby(Standby::silent(now));
            }
            // Whoever does not lead counts on nobody: it is alone, or asked to hand over.
            Phase::Active(active) if !leads && active.peering != Peering::Alone => {
                return self.lose_peer(out);
            }
            _ => return,
        }
        if let Some(link) = &mut self.link {
            link.asked = false;
            link.merged = false;
            link.handed_over = false;
            link.incoming = None;
        }
        self.tell_state(out);
        self.judge_licenses(out);
    }

    /// An operator moves service to the other server: this one stops, makes it durable, and tells (rule 8). From there
    /// on it goes as when a primary returns: the one that leads makes sure that it knows all, and serves.
    pub(super) fn handover(
        &mut self,
        ticket: Ticket,
        server: &ServerName,
        nonce: Nonce,
        out: &mut Vec<Effect>,
    ) {
        let refused = if self.ledger.nonce_taken(&nonce.nonce) {
            Some(Refusal::NonceTaken)
        } else {
            self.against_handover(server).map(|reason| Refusal::HandoverRefused { reason })
        };
        if let Some(refusal) = refused {
            return out.push(Effect::Reply(ticket, Box::new(Reply::Refused(refusal))));
        }
        let (Some(config), Some(peer)) = (self.config.clone(), self.peer()) else { return };
        let peer = peer.name.clone();
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        seen!(HandedOver);
        let taken = self.ledger.take_nonce(nonce.nonce, nonce.expires, &terms);
        self.record(taken, out);
        let epoch = self.next_epoch();
        self.facts.epoch = epoch;
        self.facts.paired = false;
        self.lead(peer.clone(), epoch, out);
        let mut details = Map::new();
        details.insert("from".into(), self.me.as_str().into());
        details.insert("to".into(), peer.as_str().into());
        self.event("handover", details, out);
        if !mutant!(HandsOverServing) {
            self.stop_serving(out);
        }
        self.handover = Some(ticket);
        self.persist(vec![Write::Facts(self.facts.clone())], out);
    }

    /// Why service cannot be moved to that server now, and what to do.
    fn against_handover(&self, server: &ServerName) -> Option<String> {
        let Phase::Active(active) = &self.phase else {
            return Some("this server does not serve".to_owned());
        };
        if *server == self.me {
            return Some(match self.leader() {
                Some(leader) if *leader != self.me => format!(
                    "`{server}` serves only while `{leader}` is away, which takes service back when it returns"
                ),
                _ => format!("`{server}` serves already"),
            });
        }
        let (Some(config), Some(peer)) = (&self.config, self.peer()) else {
            return Some("this server has no bundle".to_owned());
        };
        if peer.name != *server {
            let (me, peer) = (&self.me, &peer.name);
            return Some(format!(
                "`{server}` is no server of this pair: they are `{me}` and `{peer}`"
            ));
        }
        let Some(hello) = self.link.as_ref().and_then(|link| link.hello.as_ref()) else {
            return Some(format!(
                "`{server}` is not connected: start it, or mend the network between the two, and wait until \
                 `tandem status` says that they are paired"
            ));
        };
        if hello.lead.is_none() {
            return Some(format!(
                "`{server}` runs a version that knows of no handover: upgrade it"
            ));
        }
        if active.peering != Peering::Paired {
            return Some(format!(
                "`{server}` is not in step yet: wait until `tandem status` says that the two are paired"
            ));
        }
        if hello.generation != self.generation() {
            return Some(format!(
                "`{server}` does not run the bundle of `{}` yet: apply the manifest to both, and hand over then",
                self.me
            ));
        }
        if let Some(until) = active.grace {
            let left = until.since(self.now.moment).in_secs();
            return Some(format!(
                "`{}` may not know every lease yet: wait for the end of its grace, in {left}",
                self.me
            ));
        }
        let role = self.role()?.other();
        (!config.has_seats(role, self.now.wall)).then(|| {
            format!("`{server}` has no license that is valid now: renew its license files first")
        })
    }

    /// The peer serves: whoever asked for that is told.
    pub(super) fn tell_handed_over(&mut self, out: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Standby(_))
            && let Some(ticket) = self.handover.take()
        {
            out.push(Effect::Reply(ticket, Box::new(Reply::Done)));
        }
    }

    /// The peer did not take service: whoever asked for that is told.
    pub(super) fn fail_handover(&mut self, out: &mut Vec<Effect>) {
        let Some(ticket) = self.handover.take() else { return };
        seen!(HandoverFailed);
        let peer = self.peer().map_or("the other server", |peer| peer.name.as_str());
        let reason = format!(
            "`{peer}` did not take service in time: see `tandem status` for which server serves, and hand over again"
        );
        let refusal = Refusal::HandoverRefused { reason };
        out.push(Effect::Reply(ticket, Box::new(Reply::Refused(refusal))));
    }

    fn tell_leader(&self, out: &mut Vec<Effect>) {
        let Some(lead) = &self.facts.lead else { return };
        let mut details = Map::new();
        details.insert("leader".into(), lead.server.as_str().into());
        details.insert("epoch".into(), lead.epoch.0.into());
        self.event("leader", details, out);
    }
}
