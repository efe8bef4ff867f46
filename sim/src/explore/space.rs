//! The spaces: which faults may come, how many of each, and how the search of them is bounded.

use tandem::measure::Span;

use super::choice::At;

/// The faults that may still come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Faults {
    /// Crashes of each server.
    pub(super) crashes: [u8; 2],
    /// Pauses of either.
    pub(super) pauses: u8,
    /// Disks that hang.
    pub(super) sticks: u8,
    /// Cuts of the network between the two.
    pub(super) cuts: u8,
    /// Connections that break.
    pub(super) resets: u8,
    /// Answers that are lost.
    pub(super) losses: u8,
    /// The most crashes, pauses, cuts and hanging disks in all.
    pub(super) total: u8,
}

impl Faults {
    pub(super) fn may_crash(&self, at: At) -> bool {
        self.total > 0 && self.crashes[at] > 0
    }

    pub(super) fn may_pause(&self, _: At) -> bool {
        self.total > 0 && self.pauses > 0
    }

    pub(super) fn may_stick(&self, _: At) -> bool {
        self.total > 0 && self.sticks > 0
    }

    pub(super) fn crash(&mut self, at: At) {
        self.crashes[at] = self.crashes[at].saturating_sub(1);
        self.total = self.total.saturating_sub(1);
    }

    pub(super) fn pause(&mut self, _: At) {
        self.pauses = self.pauses.saturating_sub(1);
        self.total = self.total.saturating_sub(1);
    }

    pub(super) fn stick(&mut self, _: At) {
        self.sticks = self.sticks.saturating_sub(1);
        self.total = self.total.saturating_sub(1);
    }

    /// As one number.
    pub(super) fn word(&self) -> u64 {
        let Self { crashes: [a, b], pauses, sticks, cuts, resets, losses, total } = *self;
        [a, b, pauses, sticks, cuts, resets, losses, total]
            .into_iter()
            .fold(0, |word, count| word << 8 | u64::from(count))
    }
}

/// A space that is searched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) faults: Faults,
    /// From what state it is searched.
    pub(super) from: From,
    /// Whether it is among those that are searched whole.
    pub(super) whole: bool,
    /// How many seats there are.
    pub(super) seats: u32,
    /// How many uses each client begins.
    pub(super) uses: [u8; 2],
    /// How late what is under way may be.
    pub(super) late: Span,
}

/// A state from which a space is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The two are paired and nobody holds anything.
    Paired,
    /// The primary died, the secondary took over and gave the first client its seat; the primary starts again.
    Returning,
}

impl Space {
    /// The space of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        SPACES.iter().find(|space| space.name == name)
    }
}

const NONE: Faults =
    Faults { crashes: [0, 0], pauses: 0, sticks: 0, cuts: 0, resets: 0, losses: 1, total: 2 };

const SPACE: Space = Space {
    name: "",
    about: "",
    faults: NONE,
    from: From::Paired,
    whole: true,
    seats: 1,
    uses: [1, 1],
    late: Span::ZERO,
};

/// Every space.
pub(super) const SPACES: &[Space] = &[
    Space { name: "calm", about: "no fault but a lost answer", ..SPACE },
    Space {
        name: "one-client",
        about: "one client and one crash of either server",
        faults: Faults { crashes: [1, 1], losses: 0, total: 1, ..NONE },
        uses: [1, 0],
        whole: false,
        ..SPACE
    },
    Space {
        name: "crash-one",
        about: "one crash of either server",
        faults: Faults { crashes: [1, 1], losses: 0, total: 1, ..NONE },
        whole: false,
        ..SPACE
    },
    Space {
        name: "crash-each",
        about: "a crash of each server",
        faults: Faults { crashes: [1, 1], losses: 0, ..NONE },
        ..SPACE
    },
    Space {
        name: "crash-primary-twice",
        about: "two crashes of the primary",
        faults: Faults { crashes: [2, 0], losses: 0, ..NONE },
        ..SPACE
    },
    Space {
        name: "cut",
        about: "a cut between the two",
        faults: Faults { cuts: 1, losses: 0, ..NONE },
        ..SPACE
    },
    Space {
        name: "crash-and-pause",
        about: "a crash and a pause, each of either server",
        faults: Faults { crashes: [1, 1], pauses: 1, losses: 0, ..NONE },
        ..SPACE
    },
    Space {
        name: "stuck-disk-and-crash",
        about: "a disk that hangs and a crash, each of either server",
        faults: Faults { crashes: [1, 1], sticks: 1, losses: 0, ..NONE },
        ..SPACE
    },
    Space {
        name: "hand-over-crash",
        about: "a crash of either while the secondary hands over to a primary that returned",
        faults: Faults { crashes: [1, 1], losses: 0, total: 1, ..NONE },
        from: From::Returning,
        ..SPACE
    },
    Space {
        name: "cut-with-crashes",
        about: "a cut and a crash of each server",
        faults: Faults { crashes: [1, 1], cuts: 1, total: 3, ..NONE },
        whole: false,
        ..SPACE
    },
];
