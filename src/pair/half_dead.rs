//! Half-dead servers: a process that runs and cannot do its work must not keep its peer waiting (rule 9).
//!
//! Its disk hangs, its disk takes nothing, or no license of its role is valid: in each case it says nothing that its
//! peer could take for life, and begins again from its disk once it can.

use serde_json::Map;

use super::command::{Refusal, Reply};
use super::io::{Effect, Write};
use super::phase::{Next, Phase};
use super::{Pair, State, terms};
use crate::bundle::Config;
use crate::manifest::types::Role;
use crate::measure::{Moment, Span};
use crate::{mutant, seen};

impl Pair {
    /// Whether a connection to the peer is of any use now: not while the disk hangs, or at the very end.
    #[must_use]
    pub fn takes_link(&self) -> bool {
        !matches!(self.phase, Phase::Stuck | Phase::Stopped)
    }

    /// A server that starts writes before it speaks: one whose disk takes nothing would have its peer stop serving for
    /// nothing, each time that it starts.
    pub(super) fn prove_disk(&mut self, out: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Starting { writing: false }) {
            self.phase = Phase::Starting { writing: true };
            self.persist_then(vec![Write::Facts(self.facts.clone())], Next::Begin, out);
            if mutant!(SpeaksBeforeWriting) {
                self.begin(out);
            }
        }
    }

    /// The disk has taken a write: the server begins.
    pub(super) fn begin(&mut self, out: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Starting { .. }) {
            return;
        }
        self.phase = Phase::begin(self.is_leader(), &self.redundancy(), self.now.moment);
        self.judge_licenses(out);
        // What the peer said meanwhile was kept; it has heard nothing yet.
        self.say_hello(out);
        if let Some(hello) = self.link.as_mut().and_then(|link| link.hello.take()) {
            self.on_hello(hello, out);
        }
    }

    /// When the oldest unfinished write has taken too long. A server without a bundle has nothing that its peer waits for.
    pub(super) fn disk_hangs_at(&self) -> Option<Moment> {
        if self.config.is_none() || mutant!(HungDiskUnnoticed) {
            return None;
        }
        let (_, ordered) = self.writing.front()?;
        Some(*ordered + self.redundancy().disk_hangs_after())
    }

    /// The disk hangs: whatever this server says from now on may never become true.
    pub(super) fn be_stuck(&mut self, out: &mut Vec<Effect>) {
        seen!(DiskHung);
        self.refuse_waiting(&Refusal::Recovering, out);
        let also = self.committing.take().map(|committing| committing.also).unwrap_or_default();
        let begun = std::mem::take(&mut self.next).into_iter().filter_map(|(_, next)| match next {
            Next::Install { ticket, .. } => ticket,
            _ => None,
        });
        for ticket in begun.chain(also) {
            out.push(Effect::Reply(ticket, Box::new(Reply::Refused(Refusal::Recovering))));
        }
        self.fail_handover(out);
        self.disconnect(out);
        self.phase = Phase::Stuck;
        self.event("disk-hangs", Map::new(), out);
        self.tell_state(out);
    }

    /// Whether this server leads and no license of its role is valid, while the other server has one that is.
    ///
    /// Where neither has, stepping aside helps nobody: holders are renewed, and nothing new is given. Where the roles are
    /// about to be swapped this server is what the other one waits for.
    fn has_nothing_to_serve(&self) -> bool {
        let Some(config) = self.config.as_deref() else { return false };
        let Some(role) = self.role() else { return false };
        let has_seats = |role: Role| config.has_seats(role, self.now.wall);
        let stays = self.next_role().is_none();
        stays && self.is_leader() && !has_seats(role) && has_seats(role.other())
    }

    /// A server that leads and has nothing to serve steps aside, and comes back when it has something again.
    pub(super) fn judge_licenses(&mut self, out: &mut Vec<Effect>) {
        let nothing = self.has_nothing_to_serve() && !mutant!(ServesUnlicensed);
        match &self.phase {
            Phase::Unlicensed if !nothing => {
                seen!(LicensedAgain);
                self.restart("a license of its role is valid again", out);
            }
            Phase::Recovering { .. } | Phase::Active(_) if nothing => {
                seen!(Unlicensed);
                self.refuse_waiting(&Refusal::Recovering, out);
                self.phase = Phase::Unlicensed;
                self.event("no-valid-license", Map::new(), out);
                self.tell_state(out);
            }
            _ => {}
        }
    }

    /// Whether a license says how long this server may serve without the primary.
    pub(super) fn counts_silence(&self) -> bool {
        let limited =
            |config: &Config| config.products.values().any(|one| one.standalone.is_some());
        self.role() == Some(Role::Secondary) && self.config.as_deref().is_some_and(limited)
    }

    /// Tells once of each product that a secondary has served for as long as its vendor lets it without its primary.
    pub(super) fn judge_standalone(&mut self, out: &mut Vec<Effect>) {
        let (Phase::Active(_), Some(config)) = (&self.phase, self.config.clone()) else {
            return self.lapsed.clear();
        };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        let limited = config.products.iter().filter(|(_, product)| product.standalone.is_some());
        for (product, _) in limited {
            let lapsed = terms.standalone_left(product) == Some(Span::ZERO);
            if lapsed && self.lapsed.insert(product.clone()) {
                seen!(StoodAloneTooLong);
                let mut details = Map::new();
                details.insert("product".into(), product.as_str().into());
                self.event("standalone-over", details, out);
            }
        }
    }

    /// Whether a heartbeat would say something false: that this server could serve. A peer that serves already hears
    /// them: they keep the connection, on which bundles come.
    pub(super) fn keeps_quiet(&self) -> bool {
        match self.phase {
            Phase::Starting { .. } | Phase::Stuck => true,
            Phase::Unlicensed => self.link.as_ref().is_none_or(|link| link.state != State::Active),
            _ => false,
        }
    }
}
