//! What a server is in: its phase, its connection to the peer, and what waits for the disk.

use std::collections::VecDeque;

use super::command::{Commit, Reply};
use super::frame::{Hello, State};
use super::io::{Ticket, WriteId};
use crate::ledger::{Contents, Position, Waiter};
use crate::manifest::types::Redundancy;
use crate::measure::{Epoch, Generation, Moment};
use crate::name::{BundleHash, LeaseId};

/// What a server does now, with what it needs to know for that.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// It has no bundle.
    Unconfigured,
    /// It starts: its disk has yet to show that it takes a write (rule 9).
    Starting { writing: bool },
    /// A server that leads and starts: it looks for its peer until then (rule 6).
    Recovering { until: Moment },
    /// A server whose next epoch is being made durable, to serve in it.
    TakingOver,
    /// It stays silent.
    Standby(Standby),
    /// It serves.
    Active(Active),
    /// Its disk hangs: it is silent until a write finishes, then starts anew (rule 9).
    Stuck,
    /// A server that leads and has no valid license: it is silent, and takes bundles (rule 9).
    Unlicensed,
    /// It has stopped, or starts anew.
    Stopped,
}

impl Phase {
    /// How a server with a bundle begins.
    pub(super) fn begin(leads: bool, redundancy: &Redundancy, now: Moment) -> Self {
        match leads {
            true => Self::Recovering { until: now + redundancy.failover_after },
            false => Self::Standby(Standby::silent(now)),
        }
    }

    pub(super) fn state(&self) -> State {
        match self {
            Self::Unconfigured => State::Unconfigured,
            Self::Starting { .. }
            | Self::Recovering { .. }
            | Self::TakingOver
            | Self::Stuck
            | Self::Unlicensed
            | Self::Stopped => State::Recovering,
            Self::Standby(standby) if standby.handing_over => State::Recovering,
            Self::Standby(_) => State::Standby,
            Self::Active(_) => State::Active,
        }
    }
}

/// A server that stays silent.
#[derive(Clone, Debug)]
pub(super) struct Standby {
    /// Since when nothing was heard of an active peer.
    pub(super) silent_since: Moment,
    /// Whether the active server said that it grants nothing this server does not have, and nothing has come between.
    pub(super) in_step: bool,
    /// Whether it is in step with one that is in grace, and so does not know every lease either.
    pub(super) of_grace: bool,
    /// When it sent the last message that such a word acknowledged.
    pub(super) acked: Moment,
    /// Whether it has just stopped serving and waits to be caught up.
    pub(super) handing_over: bool,
}

impl Standby {
    pub(super) fn silent(now: Moment) -> Self {
        Self { silent_since: now, in_step: false, of_grace: false, acked: now, handing_over: false }
    }

    pub(super) fn handing_over(now: Moment) -> Self {
        Self { handing_over: true, ..Self::silent(now) }
    }
}

/// A server that serves.
#[derive(Clone, Debug)]
pub(super) struct Active {
    /// Until when it grants nothing new, since it may not know every lease (rule 4).
    pub(super) grace: Option<Moment>,
    /// How it stands with its peer.
    pub(super) peering: Peering,
    /// When it may go on alone, where it is not paired (rule 2).
    pub(super) alone_at: Moment,
    /// When it last turned to its peer, to count on it again.
    pub(super) turned_at: Moment,
    /// Before when it does not try again to catch its peer up, after that took too long.
    pub(super) retry_at: Moment,
}

/// How an active server stands with its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peering {
    /// It counts on nobody: what is durable here is granted. One that serves and does not lead always does so.
    Alone,
    /// "Alone" is being made durable.
    GoingAlone,
    /// The peer does not answer; until `alone_at` nothing is granted.
    Lost,
    /// The peer was asked for its ledger.
    Asking,
    /// The merged ledger is being made durable.
    Merging,
    /// The whole ledger was sent to the peer; records follow.
    CatchingUp,
    /// The peer has it all; "paired" is being made durable.
    Pairing,
    /// Every grant is durable on both before it is answered.
    Paired,
}

impl Active {
    /// Whether it may not know every lease, and so grants nothing new (rule 4).
    pub(super) const fn is_in_grace(&self) -> bool {
        self.grace.is_some()
    }
}

impl Peering {
    /// Whether it is the peer's turn, so that a peer that does not take it is given up. A write of its own is waited for.
    pub(super) const fn waits_for_peer(self) -> bool {
        matches!(self, Self::Lost | Self::Asking | Self::CatchingUp | Self::Pairing)
    }
}

/// A connection to the peer.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// What the peer said of itself.
    pub(super) hello: Option<Box<Hello>>,
    /// What the peer says it does now.
    pub(super) state: State,
    /// How many frames came.
    pub(super) received: u64,
    /// How many frames were sent.
    pub(super) sent: u64,
    /// When those not acknowledged yet were sent, by number.
    pub(super) sent_at: VecDeque<(u64, Moment)>,
    /// When the last frame came.
    pub(super) heard: Moment,
    /// The bundle that was offered on it.
    pub(super) offered: Generation,
    /// Whether a bundle that came on it was refused, as signed by a stranger.
    pub(super) refused: bool,
    /// How many heartbeats in a row told of an older bundle than ours.
    pub(super) behind: u8,
    /// The parts of a ledger that have come so far.
    pub(super) incoming: Option<Contents>,
    /// Whether this server gave its ledger on this connection.
    pub(super) handed_over: bool,
    /// Whether the peer was asked for its ledger on this connection.
    pub(super) asked: bool,
    /// Whether that ledger has come, and is part of this server's.
    pub(super) merged: bool,
}

impl Link {
    /// How many frames may wait for their acknowledgement before the oldest are no longer told apart.
    const SENT_KEPT: usize = 4096;

    pub(super) fn new(now: Moment) -> Self {
        Self {
            hello: None,
            state: State::Recovering,
            received: 0,
            sent: 0,
            sent_at: VecDeque::new(),
            heard: now,
            offered: Generation(0),
            refused: false,
            behind: 0,
            incoming: None,
            handed_over: false,
            asked: false,
            merged: false,
        }
    }

    pub(super) fn count_sent(&mut self, now: Moment) {
        self.sent += 1;
        match self.sent_at.back_mut() {
            // Many frames of one moment are one entry.
            Some((number, at)) if *at == now => *number = self.sent,
            _ => self.sent_at.push_back((self.sent, now)),
        }
        if self.sent_at.len() > Self::SENT_KEPT {
            self.sent_at.pop_front();
        }
    }

    /// When the last of the first `received` frames was sent, as far as that is still known.
    pub(super) fn acknowledge(&mut self, received: u64) -> Option<Moment> {
        let mut last = None;
        while let Some((number, at)) = self.sent_at.front() {
            if *number > received {
                break;
            }
            last = Some(*at);
            self.sent_at.pop_front();
        }
        last
    }
}

/// What follows once a write is durable.
#[derive(Clone, Debug)]
pub(super) enum Next {
    /// Begin: the disk takes writes.
    Begin,
    /// Tell the peer that its records are durable here.
    TellDurable { link: u64, position: Position },
    /// Tell the peer that its ledger is durable here.
    TellCaughtUp { link: u64, position: Position },
    /// Serve, in this epoch, with a grace or without.
    Serve { epoch: Epoch, grace: bool, alone: bool },
    /// Go on alone, in this epoch.
    Alone { epoch: Epoch },
    /// Count on the peer, on this connection.
    Pair { link: u64 },
    /// Start a bundle.
    Install { ticket: Option<Ticket>, commit: Box<Commit> },
}

/// A bundle that is being made durable.
#[derive(Clone, Debug)]
pub(super) struct Committing {
    pub(super) generation: Generation,
    pub(super) hash: BundleHash,
    /// Who asked for the same meanwhile: an operator whose commit was overtaken by the peer's offer.
    pub(super) also: Vec<Ticket>,
}

/// A reply that waits until what it tells is durable where it must be.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    pub(super) reply: Reply,
    /// The write on this server's disk that it waits for.
    pub(super) write: WriteId,
    /// The record that must be durable at the peer too, while paired.
    pub(super) seq: u64,
    /// When it is refused instead.
    pub(super) give_up: Moment,
    /// The lease that began with it: given up where the ledgers are merged before.
    pub(super) begun: Option<Begun>,
    /// Whether it lends seats: then it is good only once it is durable on both.
    pub(super) lends: bool,
}

/// A lease that began with a reply that waits.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) lease: LeaseId,
    /// Who had waited for it, and waits again where it is given up.
    pub(super) waiter: Option<Waiter>,
}
