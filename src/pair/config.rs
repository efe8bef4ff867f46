//! Bundles: an operator commits one, or the peer offers one that it runs and this server does not.

use std::sync::Arc;

use serde_json::Map;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::command::{Commit, Refusal, Reply};
use super::conflict::Fork;
use super::frame::Frame;
use super::io::{Committed, Effect, Ticket, Write};
use super::phase::{Committing, Next, Phase};
use super::{Pair, conflict};
use crate::bundle::{Bundle, Config};
use crate::manifest::types::Role;
use crate::measure::Generation;
use crate::statement::{self, Keyring, SignedStatement};
use crate::{mutant, seen};

/// The most statements that one offer has.
const CHAIN_MAX: usize = 10_000;

/// The number of the bundle that a statement is about; 0 for one that cannot be read.
pub(super) fn generation_of(statement: &SignedStatement) -> Generation {
    statement.generation().unwrap_or_default()
}

/// The statements known before, followed by new ones, which may replace what was signed under the same numbers.
pub(super) fn followed(
    mut known: Vec<SignedStatement>,
    new: Vec<SignedStatement>,
) -> Vec<SignedStatement> {
    if let Some(first) = new.first().map(generation_of) {
        known.retain(|statement| generation_of(statement) < first);
    }
    known.extend(new);
    known
}

/// What came of a bundle that the peer offers.
enum Judged {
    /// It is to run here.
    Take(Box<Commit>),
    /// It is no news.
    Known,
    /// It is of somebody whom the bundle that runs here does not trust.
    Refuse(String),
}

impl Pair {
    /// Takes a bundle by compare-and-set on the generation that runs.
    pub(super) fn on_commit(
        &mut self,
        ticket: Option<Ticket>,
        commit: Box<Commit>,
        out: &mut Vec<Effect>,
    ) {
        let hash = commit.config.bundle.hash();
        let runs = self.committed.as_ref().is_some_and(|committed| {
            committed.generation == commit.generation && committed.hash() == hash
        });
        if runs {
            return self.tell_committed(ticket, out);
        }
        if let Some(committing) = &mut self.committing
            && (committing.generation, committing.hash) == (commit.generation, hash)
        {
            committing.also.extend(ticket);
            return;
        }
        let conflict = self.committing.is_some() || commit.base != self.generation();
        if conflict || !self.has_place_in(&commit.config) {
            if let Some(ticket) = ticket {
                let refused = Reply::Refused(Refusal::GenerationConflict);
                out.push(Effect::Reply(ticket, Box::new(refused)));
            }
            return;
        }
        if let Some(ticket) = ticket
            && self.changes_mode(&commit.config)
            && !self.is_paired()
        {
            // Two servers in two modes, apart, would keep neither's promise.
            let retry_after = self.redundancy().heartbeat;
            let refused = Reply::Refused(Refusal::NotPaired { retry_after });
            return out.push(Effect::Reply(ticket, Box::new(refused)));
        }
        let (generation, also) = (commit.generation, Vec::new());
        self.committing = Some(Committing { generation, hash, also });
        let committed = Committed {
            generation: commit.generation,
            config: Arc::clone(&commit.config),
            before: self.stays_before(&commit.config),
            statements: commit.statements.clone(),
            at: self.now.wall,
            ttl_longest: self.ttl_longest(&commit.config),
        };
        let mut writes = vec![Write::Commit(Box::new(committed))];
        if mutant!(BundleNotSaved) {
            writes = vec![Write::Facts(self.facts.clone())];
        }
        let held = self.lost_to(&commit);
        if held != self.facts.held {
            if let Some(held) = &held {
                self.tell_held(held, out);
            }
            self.facts.held = held;
            writes.push(Write::Facts(self.facts.clone()));
        }
        self.persist_then(writes, Next::Install { ticket, commit }, out);
    }

    /// The longest ttl of any bundle whose leases may still live once this one runs.
    fn ttl_longest(&self, config: &Config) -> crate::measure::Span {
        let own = config.ttl_max();
        let Some(before) = &self.committed else { return own };
        let old = self.config.as_ref().map(|config| config.ttl_max()).unwrap_or_default();
        let older = before.ttl_longest;
        // Leases of the bundle before the last may live only until their own time after that was committed.
        let still = self.now.wall.since(before.at) < older.with_drift();
        own.max(old).max(if still { older } else { old })
    }

    /// Starts a bundle: it is durable.
    pub(super) fn install(
        &mut self,
        ticket: Option<Ticket>,
        commit: Commit,
        out: &mut Vec<Effect>,
    ) {
        let also = self.committing.take().map(|committing| committing.also).unwrap_or_default();
        let ttl_longest = self.ttl_longest(&commit.config);
        let statements = followed(self.statements().to_vec(), commit.statements);
        let peer_before = self.peer().map(|peer| peer.name.clone());
        let role_before = self.role();
        let before = self.stays_before(&commit.config);
        self.config = Some(before.clone().unwrap_or_else(|| Arc::clone(&commit.config)));
        self.committed = Some(Committed {
            generation: commit.generation,
            config: commit.config,
            before,
            statements,
            at: self.now.wall,
            ttl_longest,
        });
        self.choose_parity();
        let peer = self.peer().map(|peer| peer.name.clone());
        if peer_before.is_some() && peer_before != peer && self.facts.peer_key.is_some() {
            // The key that was learned is another server's.
            self.facts.peer_key = None;
            self.persist(vec![Write::Facts(self.facts.clone())], out);
        }
        if self.role() == Some(Role::Secondary) && role_before != self.role() {
            self.facts.heard = Some(self.now.wall);
        }
        self.recharge();
        self.leave_escrow(out);
        if matches!(self.phase, Phase::Unconfigured) && self.role().is_some() {
            self.phase = Phase::begin(self.is_leader(), &self.redundancy(), self.now.moment);
            self.last_beat = self.now.moment;
        }
        // Where the server that led is replaced, the primary leads.
        self.follow_lead(out);
        self.event("committed", self.configuration(), out);
        for ticket in ticket.into_iter().chain(also) {
            self.tell_committed(Some(ticket), out);
        }
        // The peer learns at once what runs here now, and what this server has become.
        self.say_hello(out);
        self.consider_roles(out);
        self.consider_peer(out);
        self.judge_licenses(out);
    }

    fn tell_committed(&self, ticket: Option<Ticket>, out: &mut Vec<Effect>) {
        if let (Some(ticket), Some(committed)) = (ticket, &self.committed) {
            let (generation, bundle) = (committed.generation, committed.hash());
            out.push(Effect::Reply(ticket, Box::new(Reply::Committed { generation, bundle })));
        }
    }

    /// Whether this server's bundle stands where both have one of the same number: the primary's does.
    fn wins_ties(&self) -> bool {
        let role = self.committed.as_ref().and_then(|known| known.config.role_of(&self.me));
        role == Some(Role::Primary)
    }

    /// Offers the bundle that runs here to a peer that has an older one, or one that must give way.
    pub(super) fn offer(&mut self, out: &mut Vec<Effect>) {
        let Some(committed) = &self.committed else { return };
        let (ours, hash) = (committed.generation, committed.hash());
        let primary = self.wins_ties();
        let Some(link) = &mut self.link else { return };
        let Some(hello) = &link.hello else { return };
        let conflicts = hello.generation == ours && hello.bundle != Some(hash) && primary;
        let runs_ours = hello.generation == ours && hello.bundle == Some(hash);
        let insists = link.refused && !runs_ours;
        let must_offer = hello.generation < ours || conflicts || insists;
        if !must_offer || link.offered == ours || mutant!(KeepsBundle) {
            return;
        }
        link.offered = ours;
        link.behind = 0;
        let known = committed
            .statements
            .iter()
            .take_while(|statement| generation_of(statement) <= hello.generation);
        let shared = committed.statements.get(..known.count()).unwrap_or_default();
        let after = match hello.chain {
            // Something else was signed at the peer: it must see where the two chains part.
            Some(chain)
                if conflict::digest_of(shared) != Some(chain) && !mutant!(OffersTheEndAlone) =>
            {
                Generation(0)
            }
            // On a tie the statement of the same number is what the peer must judge.
            _ if conflicts => Generation(ours.0.saturating_sub(1)),
            _ => hello.generation,
        };
        let chain: Vec<SignedStatement> = committed
            .statements
            .iter()
            .filter(|statement| generation_of(statement) > after)
            .cloned()
            .collect();
        let bundle = STANDARD.encode(committed.config.bundle.bytes());
        self.send(Frame::Bundle { chain, bundle, insists }, out);
    }

    /// The peer offers the bundle that it runs.
    pub(super) fn on_offer(
        &mut self,
        chain: Vec<SignedStatement>,
        bundle: &str,
        insists: bool,
        out: &mut Vec<Effect>,
    ) {
        match self.judge_offer(chain, bundle, insists) {
            Ok(Judged::Take(commit)) => self.on_commit(None, commit, out),
            Ok(Judged::Known) => {}
            Ok(Judged::Refuse(signer)) => {
                seen!(BundleRefused);
                let mut details = Map::new();
                let reason = format!(
                    "its branch is signed by {signer}, whom the bundle here does not trust"
                );
                details.insert("reason".into(), reason.into());
                self.event("bundle-refused", details, out);
                if let Some(link) = &mut self.link {
                    link.refused = true;
                    link.offered = Generation(0);
                }
                self.offer(out);
            }
            Err(reason) => {
                let mut details = Map::new();
                details.insert("reason".into(), reason.into());
                self.event("bundle-refused", details, out);
            }
        }
    }

    /// Verifies an offer as a stage would be, but for its dates: it runs at the peer already.
    fn judge_offer(
        &self,
        chain: Vec<SignedStatement>,
        bundle: &str,
        insists: bool,
    ) -> Result<Judged, String> {
        if chain.len() > CHAIN_MAX {
            return Err(format!("the peer offers more than {CHAIN_MAX} statements"));
        }
        let ours = self.generation();
        let offered = chain.last().map(generation_of).unwrap_or_default();
        let preferred = offered > ours || (offered == ours && !self.wins_ties());
        // What both have is not judged again.
        let fork = Fork::of(self.statements(), &chain);
        let branch = chain.get(fork.shared..).unwrap_or_default();
        if branch.is_empty() || (fork.ours.is_empty() && offered <= ours) {
            return Ok(Judged::Known);
        }
        let keyring = self.keyring_of(fork.common);
        let links =
            statement::verify_chain(&keyring, fork.common, branch).map_err(|e| e.to_string())?;
        // The same bundle under the same number is no matter of trust, whoever signed it on which side.
        let same = conflict::same_bundles(fork.ours, &links);
        let (ours_apart, apart) = (fork.ours.get(same..), links.get(same..).unwrap_or_default());
        if !self.gives_way(ours_apart.unwrap_or_default(), apart, preferred, insists) {
            let signer = apart.first().map(|link| link.operator.fingerprint()).unwrap_or_default();
            return Ok(Judged::Refuse(signer));
        }
        let last = &links.last().ok_or("the peer offers no statement")?.statement;
        let bytes = STANDARD.decode(bundle).map_err(|_| "the bundle is not base64".to_owned())?;
        let bundle = Bundle::decode(&bytes).map_err(|e| e.to_string())?;
        if bundle.hash() != last.bundle {
            return Err("the bundle is not the one that its statement is about".to_owned());
        }
        let config = Arc::new(Config::compile(&bundle).map_err(|e| e.to_string())?);
        let ours_is = self.config.as_ref().map_or(&config.pair, |config| &config.pair);
        if config.pair != last.pair || *ours_is != last.pair {
            return Err("the bundle is of another pair".to_owned());
        }
        if !self.has_place_in(&config) {
            return Err(
                "the bundle has no such server, or another role for it and another peer".to_owned()
            );
        }
        // The last common statement says from where on ours gives way.
        let statements = chain.get(fork.shared.saturating_sub(1)..).unwrap_or_default().to_vec();
        Ok(Judged::Take(Box::new(Commit { config, statements, generation: offered, base: ours })))
    }

    /// Who could sign the bundle after that generation: the operators of it, and the keys this server was given.
    pub(super) fn keyring_of(&self, generation: Generation) -> Keyring {
        if generation == self.generation() {
            return match &self.committed {
                Some(committed) => {
                    self.trust.with_operators(&committed.config.bundle.manifest().trust.operators)
                }
                None => self.trust.clone(),
            };
        }
        let before = self.statements().iter().filter_map(|signed| signed.read().ok());
        match before.into_iter().find(|statement| statement.generation == generation) {
            Some(statement) => self.trust.with_operators(&statement.operators),
            None => self.trust.clone(),
        }
    }
}
