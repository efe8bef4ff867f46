//! What two servers of a pair must share to behave the same from now on (see `ledger/digest.rs`).
//!
//! Every field is named, so that a new one does not compile before it was decided here whether it matters. Numbers of
//! writes count from the last durable one; connections before the present one are all the same.

use super::io::{Committed, Durable, Facts, Write, WriteId};
use super::phase::{Active, Begun, Committing, Link, Next, Peering, Phase, Standby, Waiting};
use super::queue::Asking;
use super::{Frame, Heartbeat, Hello, Lead, Pair, Reply, State};
use crate::ledger::{Contents, Digest, Position, maybe};
use crate::measure::{Moment, Now};
use crate::name::{BundleHash, UseId};

impl Pair {
    /// What matters of it: two servers of the same name with the same digest do the same from now on.
    pub fn digest(&self, digest: &mut dyn Digest) {
        let Self {
            me: _,
            trust: _,
            facts,
            committed,
            config: _,
            ledger,
            phase,
            link,
            link_count,
            written,
            durable,
            writing,
            next,
            waiting,
            durable_at_peer,
            recorded,
            durable_here,
            settling,
            void_until,
            committing,
            lead_told,
            lead_write,
            handover,
            last_beat,
            time_written: _,
            renewed,
            asking,
            queue_opens,
            // Only told.
            lapsed: _,
            now: Now { moment: _, wall: _ },
        } = self;
        facts.digest(digest);
        maybe(digest, committed.as_ref(), |digest, committed| committed.digest(digest));
        // Whoever begins to serve counts anew which records both disks have.
        let settled = (!matches!(phase, Phase::Standby(_))).then(|| self.settled());
        // It gives every lease a full ttl, too.
        ledger.digest(digest, matches!(phase, Phase::Active(_)), settled);
        phase.digest(self.now.moment, digest);
        // Only whether the peer will have had no time to get in step when the wait for it is over: turned to before it is
        // asked for, but where the peer was waited for already.
        match phase {
            Phase::Active(active)
                if active.peering.waits_for_peer()
                    && active.peering != Peering::Lost
                    && active.alone_at.since(active.turned_at)
                        <= self.redundancy().failover_after =>
            {
                digest.moment(active.turned_at);
            }
            _ => digest.word(u64::MAX),
        }
        maybe(digest, link.as_ref(), |digest, link| self.digest_link(link, digest));
        let ordered = |write: WriteId| write.0.saturating_sub(durable.0);
        digest.word(ordered(*written));
        for (write, since) in writing {
            digest.word(ordered(*write));
            digest.moment(*since);
        }
        digest.word(next.len() as u64);
        for (write, next) in next {
            digest.word(ordered(*write));
            next.digest(*link_count, digest);
        }
        digest.word(waiting.len() as u64);
        for waiting in waiting {
            let Waiting { ticket, reply, write, seq, give_up, begun, lends } = waiting;
            digest.word(u64::from(*lends));
            digest.ticket(ticket.0);
            reply.digest(digest);
            digest.word(ordered(*write));
            digest.seq(self.ledger.position().epoch, *seq);
            digest.moment(*give_up);
            maybe(digest, begun.as_ref(), |digest, Begun { lease, waiter }| {
                digest.lease(lease);
                maybe(digest, waiter.as_ref(), |digest, waiter| waiter.digest(digest));
            });
        }
        // Set anew before it is asked for otherwise.
        let counts = matches!(phase, Phase::Active(active) if matches!(
            active.peering, Peering::CatchingUp | Peering::Pairing | Peering::Paired
        ));
        if counts {
            digest.seq(self.ledger.position().epoch, *durable_at_peer);
        }
        if self.is_escrow() {
            for (write, position) in recorded {
                digest.word(ordered(*write));
                position.digest(digest);
            }
            durable_here.digest(digest);
            maybe(digest, (*settling > 0).then_some(settling), |digest, seq| {
                digest.seq(ledger.position().epoch, *seq);
            });
            maybe(digest, void_until.as_ref(), |digest, at| digest.moment(*at));
        }
        maybe(digest, committing.as_ref(), |digest, committing| {
            let Committing { generation, hash, also } = committing;
            digest.word(generation.0);
            digest_hash(*hash, digest);
            for ticket in also {
                digest.ticket(ticket.0);
            }
        });
        maybe(digest, lead_told.as_ref(), |digest, lead| lead.digest(digest));
        digest.word(ordered(*lead_write));
        maybe(digest, handover.as_ref(), |digest, ticket| digest.ticket(ticket.0));
        digest.moment(*last_beat);
        digest.word(renewed.len() as u64);
        for lease in renewed {
            digest.lease(lease);
        }
        digest.word(asking.len() as u64);
        for (use_id, Asking { ticket, until }) in asking {
            digest.use_id(use_id);
            digest.ticket(ticket.0);
            digest.moment(*until);
        }
        maybe(digest, queue_opens.as_ref(), |digest, at| digest.moment(*at));
    }
}

impl Phase {
    fn digest(&self, now: Moment, digest: &mut dyn Digest) {
        match self {
            Self::Unconfigured => digest.word(0),
            Self::Recovering { until } => {
                digest.word(1);
                digest.moment(*until);
            }
            Self::TakingOver => digest.word(2),
            Self::Standby(Standby { silent_since, in_step, of_grace, acked, handing_over }) => {
                digest.word(3);
                digest.moment(*silent_since);
                digest.word(u64::from(*in_step) | u64::from(*handing_over) << 1);
                digest.word(u64::from(*of_grace));
                // Asked for only where it is in step; it only grows until then.
                digest.moment(*acked);
            }
            Self::Active(Active { grace, peering, alone_at, turned_at: _, retry_at }) => {
                digest.word(4);
                maybe(digest, grace.as_ref(), |digest, at| digest.moment(*at));
                digest.word(*peering as u64);
                // Set anew before it is asked for: whoever is alone turns to its peer, whoever merged serves anew.
                let set =
                    !matches!(peering, Peering::Alone | Peering::GoingAlone | Peering::Merging);
                if set {
                    digest.moment(*alone_at);
                }
                // Only whether it is still to come, and when.
                digest.moment((*retry_at).max(now));
            }
            Self::Stopped => digest.word(5),
            Self::Starting { writing } => digest.word(6 + u64::from(*writing)),
            Self::Stuck => digest.word(8),
            Self::Unlicensed => digest.word(9),
        }
    }
}

impl Pair {
    fn digest_link(&self, link: &Link, digest: &mut dyn Digest) {
        let Link {
            hello,
            state,
            received,
            sent,
            sent_at,
            heard,
            offered,
            refused,
            behind,
            incoming,
            handed_over,
            asked,
            merged,
        } = link;
        maybe(digest, hello.as_ref(), |digest, hello| match self.phase {
            // Taken in once this server begins.
            Phase::Starting { .. } => hello.digest(digest),
            _ => self.digest_heard(hello, digest),
        });
        state.digest(digest);
        digest.received(*received);
        digest.sent(*sent);
        digest.word(sent_at.len() as u64);
        for (number, at) in sent_at {
            digest.sent(*number);
            digest.moment(*at);
        }
        digest.moment(*heard);
        digest.word(offered.0);
        digest.word(u64::from(*behind) << 1 | u64::from(*refused));
        maybe(digest, incoming.as_ref(), |digest, contents| contents.digest(digest));
        digest.word(u64::from(*handed_over) | u64::from(*asked) << 1 | u64::from(*merged) << 2);
    }

    /// What the peer said of itself, once it was taken in: its epoch is known, and its position is asked for only where it
    /// is ahead of this server's, which only grows.
    fn digest_heard(&self, hello: &Hello, digest: &mut dyn Digest) {
        let Hello {
            role,
            state: _,
            generation,
            bundle,
            epoch,
            position,
            served,
            met,
            complete,
            whole,
            lead,
            pending,
            odd: _,
            wall: _,
            chain: _,
        } = hello;
        digest.word(role.map_or(2, |role| role as u64));
        digest.word(generation.0);
        maybe(digest, bundle.as_ref(), |digest, hash| digest_hash(*hash, digest));
        let is_ahead = *position > self.ledger.position();
        maybe(digest, is_ahead.then_some(position), |digest, position| position.digest(digest));
        digest.word(u64::from(*served) | u64::from(*met) << 1 | u64::from(epoch.0 == 0) << 2);
        digest.word(complete.map_or(2, u64::from) | u64::from(*whole) << 2);
        digest.word(u64::from(*pending) | u64::from(lead.is_some()) << 1);
    }

    /// Remembers until then every use that has ended: for a search that forgets them itself.
    pub fn keep_ends(&mut self, until: Moment) {
        self.ledger.keep_ends(until);
    }

    /// Forgets that a use has ended, in memory alone: for a search in which nobody can ask for it any more.
    pub fn forget_use(&mut self, use_id: &UseId) {
        self.ledger.forget_use(use_id);
    }
}

impl Next {
    fn digest(&self, links: u64, digest: &mut dyn Digest) {
        let (kind, link) = match self {
            Self::Begin => (6, None),
            Self::TellDurable { link, position } => {
                position.digest(digest);
                (0, Some(link))
            }
            Self::TellCaughtUp { link, position } => {
                position.digest(digest);
                (1, Some(link))
            }
            Self::Serve { epoch, grace, alone } => {
                digest.epoch(*epoch);
                digest.word(u64::from(*grace) | u64::from(*alone) << 1);
                (2, None)
            }
            Self::Alone { epoch } => {
                digest.epoch(*epoch);
                (3, None)
            }
            Self::Pair { link } => (4, Some(link)),
            Self::Install { ticket, commit } => {
                maybe(digest, ticket.as_ref(), |digest, ticket| digest.ticket(ticket.0));
                digest.word(commit.generation.0);
                digest_hash(commit.config.bundle.hash(), digest);
                (5, None)
            }
        };
        digest.word(kind);
        digest.word(u64::from(link.is_some_and(|link| *link == links)));
    }
}

impl Reply {
    fn digest(&self, digest: &mut dyn Digest) {
        match self {
            Self::Lease(held) => {
                digest.word(0);
                held.lease.digest(digest);
                digest.use_id(&held.use_id);
                digest.word(u64::from(held.is_new));
                digest.epoch(held.epoch);
                digest.word(held.ttl.ms());
            }
            Self::Queued(queued) => {
                digest.word(5);
                digest.word(u64::from(queued.position));
            }
            Self::Released => digest.word(1),
            Self::Committed { generation, bundle } => {
                digest.word(2);
                digest.word(generation.0);
                digest_hash(*bundle, digest);
            }
            Self::Done => digest.word(3),
            Self::Refused(refusal) => {
                digest.word(4);
                digest.text(refusal.code());
            }
        }
    }
}

impl State {
    fn digest(self, digest: &mut dyn Digest) {
        digest.word(match self {
            Self::Unconfigured => 0,
            Self::Recovering => 1,
            Self::Active => 2,
            Self::Standby => 3,
        });
    }
}

impl Facts {
    fn digest(&self, digest: &mut dyn Digest) {
        // Wall time, `heard` included, is the same for all that is searched.
        let Self {
            epoch,
            paired,
            served,
            met,
            complete,
            knows_peer,
            wall: _,
            heard: _,
            held: _,
            peer_key,
            lead,
            odd,
            name: _,
        } = self;
        digest.last_epoch(*epoch);
        digest.word(odd.map_or(2, u64::from));
        maybe(digest, lead.as_ref(), |digest, lead| lead.digest(digest));
        digest.word(u64::from(*paired) | u64::from(*served) << 1 | u64::from(*met) << 2);
        digest.word(u64::from(peer_key.is_some()) | u64::from(*complete) << 1);
        // Whoever was in step knows it.
        digest.word(u64::from(*knows_peer || *met));
    }
}

impl Lead {
    fn digest(&self, digest: &mut dyn Digest) {
        let Self { server, epoch, since: _ } = self;
        digest.text(server.as_str());
        digest.epoch(*epoch);
    }
}

impl Committed {
    fn digest(&self, digest: &mut dyn Digest) {
        let Self { generation, config, before, statements, at: _, ttl_longest } = self;
        digest.word(generation.0);
        digest_hash(config.bundle.hash(), digest);
        maybe(digest, before.as_ref(), |digest, config| digest_hash(config.bundle.hash(), digest));
        digest.word(statements.len() as u64);
        digest.word(ttl_longest.ms());
    }
}

fn digest_hash(hash: BundleHash, digest: &mut dyn Digest) {
    // The first bytes tell any two bundles apart.
    let [a, b, c, d, ..] = hash.0;
    digest.word(u64::from(u32::from_be_bytes([a, b, c, d])));
}

impl Durable {
    /// What matters of what a disk holds.
    pub fn digest(&self, digest: &mut dyn Digest) {
        let Self { facts, committed, ledger } = self;
        facts.digest(digest);
        maybe(digest, committed.as_ref(), |digest, committed| committed.digest(digest));
        ledger.digest(digest);
    }
}

impl Write {
    /// What matters of it.
    pub fn digest(&self, digest: &mut dyn Digest) {
        match self {
            Self::Facts(facts) => {
                digest.word(0);
                facts.digest(digest);
            }
            Self::Commit(committed) => {
                digest.word(1);
                committed.digest(digest);
            }
            Self::RolesBegin => digest.word(5),
            Self::Record(position, record) => {
                digest.word(2);
                position.digest(digest);
                record.digest(digest);
            }
            Self::Ledger(contents) => {
                digest.word(3);
                contents.digest(digest);
            }
            Self::Forget { uses, nonces } => {
                digest.word(4);
                digest.word(uses.len() as u64);
                for use_id in uses {
                    digest.use_id(use_id);
                }
                for nonce in nonces {
                    digest.text(nonce);
                }
            }
        }
    }
}

impl Frame {
    /// What matters of it; the digest belongs to whoever sent it.
    pub fn digest(&self, digest: &mut dyn Digest) {
        let ledger = |kind, contents: &Contents, more: bool, digest: &mut dyn Digest| {
            digest.word(kind);
            contents.digest(digest);
            digest.word(u64::from(more));
        };
        let position = |kind, position: &Position, digest: &mut dyn Digest| {
            digest.word(kind);
            position.digest(digest);
        };
        match self {
            Self::Hello(hello) => {
                digest.word(0);
                hello.digest(digest);
            }
            Self::Heartbeat(Heartbeat { state, paired, grace, received, generation, renewed }) => {
                digest.word(1);
                state.digest(digest);
                digest.word(u64::from(*paired) | u64::from(*grace) << 1);
                digest.received(*received);
                digest.word(generation.0);
                digest.word(renewed.len() as u64);
                for lease in renewed {
                    digest.lease(lease);
                }
            }
            Self::Records { first, records } => {
                position(2, first, digest);
                digest.word(records.len() as u64);
                for record in records {
                    record.digest(digest);
                }
            }
            Self::Durable { position: at } => position(3, at, digest),
            Self::HandOver => digest.word(4),
            Self::HandedOver { contents, more } => ledger(5, contents, *more, digest),
            Self::CatchUp { contents, more } => ledger(6, contents, *more, digest),
            Self::CaughtUp { position: at } => position(7, at, digest),
            Self::Bundle { chain, bundle, insists: _ } => {
                digest.word(8);
                digest.word(chain.len() as u64);
                digest.text(bundle);
            }
            Self::Goodbye => digest.word(9),
        }
    }
}

impl Hello {
    fn digest(&self, digest: &mut dyn Digest) {
        let Self {
            role,
            state,
            generation,
            bundle,
            epoch,
            position,
            served,
            met,
            complete,
            whole,
            lead,
            pending,
            odd,
            wall: _,
            chain: _,
        } = self;
        digest.word(u64::from(*pending) | odd.map_or(2, u64::from) << 1);
        maybe(digest, lead.as_ref(), |digest, lead| lead.digest(digest));
        digest.word(role.map_or(2, |role| role as u64));
        state.digest(digest);
        digest.word(generation.0);
        maybe(digest, bundle.as_ref(), |digest, hash| digest_hash(*hash, digest));
        digest.epoch(*epoch);
        position.digest(digest);
        digest.word(u64::from(*served) | u64::from(*met) << 1);
        digest.word(complete.map_or(2, u64::from) | u64::from(*whole) << 2);
    }
}
