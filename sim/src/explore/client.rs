//! A client of the search: it wants a seat, holds it for a ttl from its own sending, renews it, gives it back.
//!
//! It asks one server at a time and may turn to the other at any moment: what the first would have answered is then lost.

use tandem::measure::Moment;
use tandem::name::LeaseId;
use tandem::pair::{Checkout, Command, Held, Refusal, Reply, Ticket, Token};

use super::choice::{At, Who};
use super::setup::{RENEW_AFTER, Setup, TTL};

/// A client.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Which.
    pub(super) who: Who,
    /// The number of its present use.
    pub(super) number: u8,
    /// How many uses it may still begin after this one.
    pub(super) left: u8,
    /// How it stands with its seat.
    pub(super) stage: Stage,
    /// What it has asked and not heard of.
    pub(super) waits: Option<Asked>,
    /// A grant that is on its way to it.
    pub(super) granted: Option<LeaseId>,
    /// Whether a server ever took in something of it.
    pub(super) began: bool,
}

/// How a client stands with its seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has none.
    Wants,
    /// It believes that it has one.
    Holds {
        /// The lease.
        lease: LeaseId,
        /// Until when it believes so.
        until: Moment,
        /// Whether the servers were split from each other since it asked for it.
        split: bool,
        /// Whether each server has to know the lease: it gave or renewed it, or was told since that it is paired.
        known: [bool; 2],
    },
    /// It has given it back, and was not told that this arrived.
    Leaves {
        /// The lease.
        lease: LeaseId,
    },
    /// It wants no more.
    Done,
}

/// Something that a client has asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) at: At,
    pub(super) ticket: Ticket,
    pub(super) sent: Moment,
    pub(super) what: What,
    /// Whether the servers were split from each other since.
    pub(super) split: bool,
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Checkout,
    Renewal,
    Release,
}

/// What a reply means that a client should not have got.
pub(super) enum Heard {
    /// Nothing wrong.
    Well,
    /// It believed in a lease, and the server does not know it.
    Lost(Refusal),
    /// It believes in this lease, and the server put it off at once.
    PutOff(LeaseId),
}

impl Client {
    pub(super) fn new(who: Who, uses: u8) -> Self {
        let stage = if uses == 0 { Stage::Done } else { Stage::Wants };
        let left = uses.saturating_sub(1);
        Self { who, number: 0, left, stage, waits: None, granted: None, began: false }
    }

    /// Whether it may do that now.
    pub(super) fn may(&self, what: What, at: At, now: Moment) -> bool {
        let same = self.waits.as_ref().is_some_and(|asked| asked.at == at && asked.what == what);
        !same
            && match (&self.stage, what) {
                (Stage::Wants, What::Checkout)
                | (Stage::Holds { .. } | Stage::Leaves { .. }, What::Release) => true,
                (Stage::Holds { until, .. }, What::Renewal) => {
                    until.since(now) <= TTL.less(RENEW_AFTER)
                }
                _ => false,
            }
    }

    /// It asks: gives the command.
    pub(super) fn ask(
        &mut self,
        what: What,
        at: At,
        (ticket, sent, split): (Ticket, Moment, bool),
        setup: &Setup,
    ) -> Option<Command> {
        let command = match (what, &self.stage) {
            (What::Checkout, Stage::Wants) => {
                let checkout: Checkout = setup.checkout(self.who, self.number, ticket.0);
                Command::Checkout(checkout)
            }
            (What::Renewal, Stage::Holds { lease, .. }) => {
                Command::Renew(setup.token(self.who, self.number, lease))
            }
            (What::Release, Stage::Holds { lease, .. } | Stage::Leaves { lease }) => {
                let token: Token = setup.token(self.who, self.number, lease);
                // From here on it does not believe in it.
                self.stage = Stage::Leaves { lease: lease.clone() };
                Command::Release(token)
            }
            _ => return None,
        };
        self.waits = Some(Asked { at, ticket, sent, what, split });
        Some(command)
    }

    /// A server answers what it waits for.
    pub(super) fn answered(&mut self, reply: &Reply, now: Moment) -> Heard {
        let Some(asked) = self.waits.take() else { return Heard::Well };
        match (asked.what, reply) {
            (What::Checkout, Reply::Lease(held)) => {
                let Held { lease, .. } = &**held;
                self.granted = Some(lease.id.clone());
                self.began = true;
                self.waits = Some(asked);
            }
            // The use is over: a new one is begun.
            (What::Checkout, Reply::Refused(Refusal::UnknownLease)) => self.next(),
            (What::Renewal, Reply::Lease(_)) => {
                if let Stage::Holds { until, known, .. } = &mut self.stage
                    && *until > now
                {
                    *until = (asked.sent + TTL).max(*until);
                    known[asked.at] = true;
                }
            }
            (What::Renewal, Reply::Refused(refusal)) => {
                let lost = !matches!(
                    refusal,
                    Refusal::Unconfigured
                        | Refusal::Recovering
                        | Refusal::Standby
                        | Refusal::Grace { .. }
                );
                // All that the server has may be held by what it knows.
                let is_crowded_out =
                    matches!(refusal, Refusal::NoSeatFree { .. }) && !self.is_known(asked.at);
                if lost && self.believes(now) && !self.split() && !is_crowded_out {
                    return Heard::Lost(refusal.clone());
                }
                if lost {
                    self.next();
                }
                if let (Refusal::Grace { .. }, Stage::Holds { lease, .. }) = (refusal, &self.stage)
                    && asked.sent == now
                {
                    return Heard::PutOff(lease.clone());
                }
            }
            (What::Release, Reply::Released) => self.next(),
            _ => {}
        }
        Heard::Well
    }

    /// The grant arrives.
    pub(super) fn hear(&mut self, now: Moment) {
        let (Some(lease), Some(asked)) = (self.granted.take(), self.waits.take()) else { return };
        let until = asked.sent + TTL;
        if until > now && self.stage == Stage::Wants {
            let known = [asked.at == 0, asked.at == 1];
            self.stage = Stage::Holds { lease, until, split: asked.split, known };
        }
    }

    /// A server has heard from one that serves that the two are paired, which was said while this client held its seat.
    pub(super) fn note_paired(&mut self, at: At) {
        if let Stage::Holds { known, .. } = &mut self.stage {
            known[at] = true;
        }
    }

    /// A server has lost all that it knew.
    pub(super) fn note_forgotten(&mut self, at: At) {
        if let Stage::Holds { known, .. } = &mut self.stage {
            known[at] = false;
        }
    }

    /// The grant does not arrive.
    pub(super) fn lose(&mut self) {
        self.granted = None;
        self.waits = None;
    }

    /// What it had asked there is not answered any more.
    pub(super) fn hang_up(&mut self, at: At) {
        if self.waits.as_ref().is_some_and(|asked| asked.at == at) {
            self.lose();
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Moment) {
        if matches!(&self.stage, Stage::Holds { until, .. } if *until <= now) {
            self.waits = None;
            self.next();
        }
    }

    /// The servers are split from each other.
    pub(super) fn note_split(&mut self) {
        if let Stage::Holds { split, .. } = &mut self.stage {
            *split = true;
        }
        if let Some(asked) = &mut self.waits {
            asked.split = true;
        }
    }

    /// Whether it believes that it has a seat.
    pub(super) fn believes(&self, now: Moment) -> bool {
        matches!(&self.stage, Stage::Holds { until, .. } if *until > now)
    }

    /// Whether the servers were split since it asked for what it holds.
    pub(super) fn split(&self) -> bool {
        matches!(&self.stage, Stage::Holds { split: true, .. })
    }

    /// Whether this server has to know what it holds.
    fn is_known(&self, at: At) -> bool {
        matches!(&self.stage, Stage::Holds { known, .. } if known[at])
    }

    fn next(&mut self) {
        self.waits = None;
        if self.left == 0 {
            self.stage = Stage::Done;
        } else {
            self.left -= 1;
            self.number += 1;
            self.stage = Stage::Wants;
        }
    }
}
