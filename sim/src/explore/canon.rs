//! The 128 bits by which a state is known: everything that decides what can happen from it, and nothing else.
//!
//! Moments count from the present, frames from the last that was sent, epochs from each other: what two states at
//! different times, or after different pasts, have in common makes them one.

use std::ops::Range;

use tandem::ledger::Digest;
use tandem::measure::{Epoch, Moment};
use tandem::name::{LeaseId, UseId};
use tandem::pair::Pair;

use super::choice::{At, Who};
use super::client::{Client, Stage, What};
use super::setup::{FAILOVER, LONG_AGO, read_id, used};
use super::world::{Life, Machine, Parcel, World};

/// What a state is made of, as numbers.
#[derive(Default)]
pub(super) struct Canon {
    words: Vec<u64>,
    /// Where epochs stand.
    epochs: Vec<usize>,
    /// Where numbers of records stand, each with its epoch.
    seqs: Vec<(Epoch, usize)>,
    /// Where numbers of grants stand, each with its epoch.
    grants: Vec<(Epoch, usize)>,
    /// Where numbers of steps of the slots stand, each with its epoch.
    steps: Vec<(Epoch, usize)>,
    /// Where leases stand, each with its use.
    leases: Vec<(u64, usize)>,
    /// The least epoch after which a server could make another.
    floor: u64,
    /// What is said of ended uses, from where to where.
    ends: Vec<(u64, Range<usize>)>,
    /// The uses of which something is left.
    alive: Vec<u64>,
    /// Whether what is written is about an ended use.
    of_end: bool,
    /// Where counts of the frames that this server sent stand.
    counts: [Vec<usize>; 2],
    sorted: Vec<u64>,
    names: Vec<u64>,
    now: Moment,
    /// Whose state is written.
    owner: At,
    tickets: [Option<u64>; 2],
    /// Whether a heartbeat has just passed.
    has_passed: bool,
    /// Which clients have left: no server has their seat any more.
    left: [bool; 2],
}

impl Canon {
    /// The name of a state together with the faults that may still come (see [`Canon::name`]).
    pub(super) fn name_with_faults(&mut self, world: &World, has_passed: bool) -> u128 {
        let name = self.name(world, has_passed);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are wanted")]
        let halves = [name as u64, (name >> 64) as u64];
        hash(&[halves[0], halves[1], world.faults_left().word()])
    }

    /// The name of a state but for the faults that may still come. Where a heartbeat has just passed it drops what nobody can
    /// ask for any more: at any other time it would make orders differ.
    pub(super) fn name(&mut self, world: &World, has_passed: bool) -> u128 {
        self.has_passed = has_passed;
        self.words.clear();
        self.epochs.clear();
        self.seqs.clear();
        self.grants.clear();
        self.steps.clear();
        self.leases.clear();
        self.floor = u64::MAX;
        self.ends.clear();
        self.alive.clear();
        self.of_end = false;
        self.counts.iter_mut().for_each(Vec::clear);
        self.now = world.now;
        self.tickets = world
            .clients
            .each_ref()
            .map(|client| client.waits.as_ref().map(|asked| asked.ticket.0));
        for at in [0, 1] {
            self.owner = at;
            self.machine(&world.machines[at]);
            self.owner = 1 - at;
            // What a closed side was to get is dropped with the connection.
            let parcels = world.wire.towards[at].iter().filter(|_| world.wire.open[at]);
            self.word(parcels.clone().count() as u64);
            for (sent, parcel) in parcels {
                self.moment(*sent);
                match parcel {
                    Parcel::Frame(frame, [a, b]) => {
                        self.word(u64::from(*a) | u64::from(*b) << 1);
                        frame.digest(self);
                    }
                    Parcel::End => self.word(u64::MAX),
                }
            }
            self.word(u64::from(world.wire.open[at]));
        }
        let fresh = world.fresh && world.stands_still();
        self.word(u64::from(world.wire.cut) | u64::from(world.split) << 1 | u64::from(fresh) << 2);
        let [a, b] = world.fenced.map(u64::from);
        self.word(u64::from(world.planned) | a << 1 | b << 2);
        self.word(world.ran[0].0 << 8 | world.ran[1].0);
        match world.heard_active {
            // Longer ago it forbids nothing.
            Some(heard) => self.word(self.now.since(heard).min(FAILOVER).ms()),
            None => self.word(FAILOVER.ms()),
        }
        // Once it has run out it was never there.
        self.word(world.third.map_or(0, |until| until.since(self.now).ms()));
        for client in &world.clients {
            self.client(client);
        }
        self.forget_ends();
        self.rename();
        hash(&self.words)
    }

    fn machine(&mut self, machine: &Machine) {
        let Machine { life, disk, writing, paused, stuck, proved } = machine;
        match life {
            Life::Runs(pair) => {
                self.word(0);
                pair.digest(self);
            }
            Life::Reopens => self.word(1),
            Life::Dead => self.word(2),
        }
        disk.digest(self);
        self.word(writing.len() as u64);
        for one in writing {
            self.moment(one.since);
            self.word(one.writes.len() as u64);
            for write in &*one.writes {
                write.digest(self);
            }
        }
        // Of one that takes no connection nobody asks it: it starts again before it does.
        let proved = *proved || !machine.pair().is_some_and(Pair::takes_link);
        self.word(u64::from(*paused) | u64::from(*stuck) << 1 | u64::from(proved) << 2);
    }

    fn client(&mut self, client: &Client) {
        let Client { who, number, left, stage, waits, granted, began } = client;
        let used = used(*who, *number);
        let leaves = matches!(stage, Stage::Leaves { .. });
        let has_left = self.has_passed
            && leaves
            && *left == 0
            && waits.is_none()
            && !self.alive.contains(&used);
        self.left[*who] = has_left;
        let stage = if has_left { &Stage::Done } else { stage };
        if *stage != Stage::Done {
            self.alive.push(used);
        }
        self.word(u64::from(*number) << 16 | u64::from(*left) << 8 | u64::from(*began));
        match stage {
            Stage::Wants => self.word(0),
            Stage::Holds { lease, until, split, known: [a, b] } => {
                self.word(1);
                self.lease(lease);
                self.moment(*until);
                self.word(u64::from(*split) | u64::from(*a) << 1 | u64::from(*b) << 2);
            }
            Stage::Leaves { lease } => {
                self.word(2);
                self.lease(lease);
            }
            Stage::Done => self.word(3),
        }
        match waits {
            Some(asked) => {
                self.word(1 + asked.at as u64);
                self.moment(asked.sent);
                self.word(match asked.what {
                    What::Checkout => 0,
                    What::Renewal => 1,
                    What::Release => 2,
                });
                self.word(u64::from(asked.split));
            }
            None => self.word(0),
        }
        match granted {
            Some(lease) => self.lease(lease),
            None => self.word(u64::MAX),
        }
    }

    /// What is said of uses of which nothing is left is left out.
    fn forget_ends(&mut self) {
        if self.ends.is_empty() {
            return;
        }
        if !self.has_passed {
            return self.ends.clear();
        }
        let alive = std::mem::take(&mut self.alive);
        let mut ends = std::mem::take(&mut self.ends);
        ends.retain(|(used, _)| !alive.contains(used));
        // From the last on, so that the places before it stay.
        for (_, range) in ends.iter().rev() {
            let (from, to) = (range.start, range.end);
            self.words.drain(range.clone());
            let stays = |at: &mut usize| {
                let inside = (from..to).contains(at);
                *at -= if *at >= to { to - from } else { 0 };
                !inside
            };
            self.epochs.retain_mut(stays);
            self.grants.retain_mut(|(_, at)| stays(at));
            self.steps.retain_mut(|(_, at)| stays(at));
            self.leases.retain_mut(|(_, at)| stays(at));
            for counts in &mut self.counts {
                counts.retain_mut(stays);
            }
            self.seqs.retain_mut(|(_, at)| stays(at));
        }
        self.alive = alive;
        self.ends = ends;
    }

    /// The ended uses of which nothing is left, in the state that was named last: what is said of them is no part of its
    /// name.
    pub(super) fn is_done_with(&self, use_id: &UseId) -> bool {
        let used = read_id(use_id.as_str()).0;
        self.ends.iter().any(|(done, _)| *done == used)
    }

    /// Whether this client has left the state that was named last.
    pub(super) const fn has_left(&self, who: Who) -> bool {
        self.left[who]
    }

    /// Whether anything of the state that was named last is no part of its name.
    pub(super) fn drops(&self) -> bool {
        !self.ends.is_empty() || self.left != [false; 2]
    }

    /// Epochs become the least numbers of the same order and kind that leave room for as many between them as could
    /// be made; counts of frames become distances from the greatest.
    fn rename(&mut self) {
        self.sorted.clear();
        self.sorted.extend(self.epochs.iter().map(|at| self.words[*at]));
        self.sorted.sort_unstable();
        self.sorted.dedup();
        // The new name of each epoch, by its place.
        let (mut name, mut before) = (0, 0);
        let mut names = std::mem::take(&mut self.names);
        names.clear();
        for &epoch in &self.sorted {
            let gap = epoch - before;
            // No epoch is made any more up to the floor: the order and the kind are all.
            let room = if epoch <= self.floor { 1 } else { 4 };
            name += if gap <= room { gap } else { room + (gap - room) % 2 };
            before = epoch;
            names.push(name);
        }
        for &at in &self.epochs {
            let place = self.sorted.partition_point(|one| *one < self.words[at]);
            self.words[at] = names.get(place).copied().unwrap_or_default();
        }
        self.names = names;
        rank(&mut self.grants, &mut self.words, &mut self.sorted);
        rank(&mut self.steps, &mut self.words, &mut self.sorted);
        rank(&mut self.leases, &mut self.words, &mut self.sorted);
        // Numbers of records become distances from the last of their epoch.
        self.seqs.sort_unstable_by_key(|(epoch, at)| (*epoch, *at));
        for of_epoch in self.seqs.chunk_by(|one, other| one.0 == other.0) {
            let most = of_epoch.iter().map(|(_, at)| self.words[*at]).max().unwrap_or(0);
            for (_, at) in of_epoch {
                self.words[*at] = most - self.words[*at];
            }
        }
        for counts in &self.counts {
            let most = counts.iter().map(|at| self.words[*at]).max().unwrap_or(0);
            for &at in counts {
                self.words[at] = most - self.words[at];
            }
        }
    }

    fn count(&mut self, by: At, count: u64) {
        self.counts[by].push(self.words.len());
        self.words.push(count);
    }
}

impl Digest for Canon {
    fn word(&mut self, word: u64) {
        self.words.push(word);
    }

    fn moment(&mut self, at: Moment) {
        let word = if at >= self.now {
            at.since(self.now).ms() << 1 | 1
        } else {
            self.now.since(at).min(LONG_AGO).ms() << 1
        };
        self.words.push(word);
    }

    fn epoch(&mut self, epoch: Epoch) {
        self.epochs.push(self.words.len());
        self.words.push(epoch.0);
    }

    fn text(&mut self, text: &str) {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        self.words.push(text.bytes().fold(0xcbf2_9ce4_8422_2325, fold));
    }

    fn last_epoch(&mut self, epoch: Epoch) {
        self.floor = self.floor.min(epoch.0);
        self.epoch(epoch);
    }

    fn lease(&mut self, id: &LeaseId) {
        let (used, number) = read_id(id.as_str());
        self.words.push(used);
        self.leases.push((used, self.words.len()));
        self.words.push(number);
    }

    fn step(&mut self, epoch: Epoch, seq: u64) {
        self.steps.push((epoch, self.words.len()));
        self.words.push(seq);
    }

    fn grant(&mut self, epoch: Epoch, seq: u64) {
        self.grants.push((epoch, self.words.len()));
        self.words.push(seq);
    }

    fn use_id(&mut self, id: &UseId) {
        let used = read_id(id.as_str()).0;
        if !self.of_end {
            self.alive.push(used);
        }
        self.words.push(used);
    }

    fn seq(&mut self, epoch: Epoch, seq: u64) {
        self.seqs.push((epoch, self.words.len()));
        self.words.push(seq);
    }

    fn ended(&mut self, use_id: &UseId, write: &mut dyn FnMut(&mut dyn Digest)) {
        let from = self.words.len();
        self.of_end = true;
        write(self);
        self.of_end = false;
        self.ends.push((read_id(use_id.as_str()).0, from..self.words.len()));
    }

    fn ticket(&mut self, ticket: u64) {
        let whose = self.tickets.iter().position(|one| *one == Some(ticket));
        self.words.push(whose.map_or(2, |who| who as u64));
    }

    fn sent(&mut self, count: u64) {
        self.count(self.owner, count);
    }

    fn received(&mut self, count: u64) {
        self.count(1 - self.owner, count);
    }
}

/// Numbers become their ranks among those of the same kind.
fn rank<K: Ord + Copy>(places: &mut [(K, usize)], words: &mut [u64], sorted: &mut Vec<u64>) {
    places.sort_unstable();
    for of_kind in places.chunk_by(|one, other| one.0 == other.0) {
        sorted.clear();
        sorted.extend(of_kind.iter().map(|(_, at)| words[*at]));
        sorted.sort_unstable();
        sorted.dedup();
        for (_, at) in of_kind {
            words[*at] = sorted.partition_point(|one| *one < words[*at]) as u64;
        }
    }
}

/// 128 bits of many numbers, by two multiplications each.
fn hash(words: &[u64]) -> u128 {
    const K: [u64; 4] = [
        0x9e37_79b9_7f4a_7c15,
        0xbf58_476d_1ce4_e5b9,
        0x94d0_49bb_1331_11eb,
        0xd6e8_feb8_6659_fd93,
    ];
    let fold = |a: u64, b: u64| -> u64 {
        let product = u128::from(a) * u128::from(b);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are wanted")]
        let halves = (product as u64, (product >> 64) as u64);
        halves.0 ^ halves.1
    };
    let (mut one, mut other) = (K[0] ^ words.len() as u64, K[1]);
    for &word in words {
        one = fold(one ^ word, K[2]) ^ one.rotate_left(23);
        other = fold(other ^ word.rotate_left(32), K[3]).wrapping_add(other.rotate_left(41));
    }
    u128::from(fold(one ^ K[3], K[1])) << 64 | u128::from(fold(other ^ K[2], K[0] ^ one))
}
