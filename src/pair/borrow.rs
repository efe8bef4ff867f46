//! Lending seats: only while paired, since a borrowed seat outlives any grace (rule 5).

use super::Pair;
use super::active::reply;
use super::command::{Refusal, Reply};
use super::io::Effect;
use super::phase::Waiting;
use super::terms;
use crate::ledger::Checkout;
use crate::mutant;
use crate::seen;

impl Pair {
    /// Whether what is wanted may be lent now.
    pub(super) fn lending(&self, request: &Checkout) -> Result<(), Refusal> {
        if request.borrow.is_none() || self.is_paired() || mutant!(BorrowAlone) {
            return Ok(());
        }
        seen!(BorrowNotPaired);
        Err(Refusal::NotPaired { retry_after: self.redundancy().heartbeat })
    }

    /// This server goes on alone: what was lent and is not known to be durable on both is taken back.
    pub(super) fn refuse_lending(&mut self, out: &mut Vec<Effect>) {
        if mutant!(BorrowAlone) {
            return;
        }
        for waiting in std::mem::take(&mut self.waiting) {
            self.take_back(&waiting, out);
            let is_over = match &waiting.reply {
                Reply::Lease(held) if is_borrowed(&waiting.reply) => {
                    self.ledger.given(&held.lease.id, &held.use_id, self.now.moment).is_none()
                }
                _ => false,
            };
            if is_over {
                let retry_after = self.redundancy().heartbeat;
                reply(waiting.ticket, Reply::Refused(Refusal::NotPaired { retry_after }), out);
            } else {
                self.waiting.push_back(waiting);
            }
        }
    }

    /// Takes back what a reply that is not given would have lent.
    pub(super) fn take_back(&mut self, waiting: &Waiting, out: &mut Vec<Effect>) {
        let Reply::Lease(held) = &waiting.reply else { return };
        if !waiting.lends {
            return;
        }
        let Some(config) = self.config.clone() else { return };
        let Some(terms) = terms(&config, &self.me, &self.facts, self.now) else { return };
        seen!(BorrowTakenBack);
        if let Some(record) = self.ledger.take_back(&held.lease.id, &held.use_id, &terms) {
            self.record(record, out);
        }
    }
}

/// Whether a reply gives a borrowed seat.
pub(super) fn is_borrowed(reply: &Reply) -> bool {
    matches!(reply, Reply::Lease(held) if held.borrowed_until.is_some())
}
