//! The spaces: which faults may come, how many of each, and how the search of them is bounded.

use tandem::manifest::types::Mode;

use super::choice::At;

/// The faults that may still come. Each server has its own, so that what happens to one takes nothing from the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Faults {
    /// Crashes of each server.
    pub(super) crashes: [u8; 2],
    /// Pauses of each.
    pub(super) pauses: [u8; 2],
    /// Times that each one's disk hangs.
    pub(super) sticks: [u8; 2],
    /// Cuts of the network between the two.
    pub(super) cuts: u8,
    /// Answers that are lost.
    pub(super) losses: u8,
    /// Orders to hand service over, to each server.
    pub(super) handovers: [u8; 2],
    /// Commits of the second bundle, at each server.
    pub(super) commits: [u8; 2],
    /// Words that the other server is dead, to each server: said only while it is.
    pub(super) fences: [u8; 2],
}

impl Faults {
    /// Whether this server's machine may die without a word.
    pub(super) const fn may_burn(&self, at: At) -> bool {
        self.crashes[at] > 0
    }

    /// Whether nothing can happen to this server any more.
    pub(super) const fn are_over(&self, at: At) -> bool {
        self.crashes[at] == 0 && self.pauses[at] == 0 && self.sticks[at] == 0
    }

    /// As one number.
    pub(super) fn word(&self) -> u64 {
        let Self { crashes, pauses, sticks, cuts, losses, handovers, commits, fences } = *self;
        let two = |[a, b]: [u8; 2]| u64::from(a) << 4 | u64::from(b);
        let words = [
            two(crashes),
            two(pauses),
            two(sticks),
            two([cuts, losses]),
            two(handovers),
            two(commits),
            two(fences),
        ];
        words.into_iter().fold(0, |word, count| word << 8 | count)
    }
}

/// A space that is searched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// The faults that may come, one of these.
    pub(super) plans: &'static [Faults],
    /// From what state it is searched.
    pub(super) from: From,
    /// How the seats are kept where the servers do not hear each other.
    pub(super) mode: Mode,
    /// Whether it is among those that are searched whole.
    pub(super) whole: bool,
    /// How many seats there are.
    pub(super) seats: u32,
    /// How many uses each client begins.
    pub(super) uses: [u8; 2],
    /// Whether clients renew their seats and give them back, and do not only let them run out.
    pub(super) renews: bool,
    /// Whether disks are slow also where nothing can happen to their machine any more.
    pub(super) slow: bool,
    /// Whether orders are left out that end where others end.
    pub(super) reduce: bool,
    /// Whether what follows is left out once no fault can come any more and the pair has come to rest.
    pub(super) rests: bool,
    /// Whether it is searched here and there, and not one part after the other.
    pub(super) wanders: bool,
}

/// A state from which a space is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The two are paired and nobody holds anything.
    Paired,
    /// The primary died, the secondary took over and gave the first client its seat; the primary starts again.
    Returning,
    /// The secondary died and was fenced, so that the primary has every slot, of which the first client has one; the
    /// secondary starts again, and is due its share.
    Fenced,
    /// The same, and nobody holds anything.
    FencedAndFree,
    /// Both know the first client's seat; the secondary died, and the primary goes on alone.
    Missed,
    /// The primary died, the secondary took over and gave the first client its seat, and died with its disk.
    DiskLost,
    /// The primary died, the secondary took over and gave a third client a seat; the primary has just started again.
    HeldByThird,
}

impl Space {
    /// The space of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        SPACES.iter().find(|space| space.name == name)
    }
}

/// No fault at all.
pub(super) const NONE: Faults = Faults {
    crashes: [0, 0],
    pauses: [0, 0],
    sticks: [0, 0],
    cuts: 0,
    losses: 0,
    handovers: [0, 0],
    commits: [0, 0],
    fences: [0, 0],
};

/// A crash of one or the other.
const CRASH: [Faults; 2] = [Faults { crashes: [1, 0], ..NONE }, Faults { crashes: [0, 1], ..NONE }];

/// A crash of each.
const CRASH_EACH: [Faults; 1] = [Faults { crashes: [1, 1], ..NONE }];

/// A server dies and is fenced, and a crash of either.
const FENCE_AND_CRASH: [Faults; 4] = [
    Faults { crashes: [2, 0], fences: [0, 1], ..NONE },
    Faults { crashes: [1, 1], fences: [0, 1], ..NONE },
    Faults { crashes: [1, 1], fences: [1, 0], ..NONE },
    Faults { crashes: [0, 2], fences: [1, 0], ..NONE },
];

const SPACE: Space = Space {
    name: "",
    about: "",
    plans: &[NONE],
    from: From::Paired,
    mode: Mode::Mirror,
    whole: true,
    seats: 1,
    uses: [1, 1],
    renews: true,
    slow: false,
    reduce: true,
    rests: false,
    wanders: false,
};

/// A space of seats in slots, which ends where the pair rests.
const ESCROW: Space = Space { mode: Mode::Escrow, rests: true, ..SPACE };

/// Every space.
pub(super) const SPACES: &[Space] = &[
    Space {
        name: "calm",
        about: "no fault but a lost answer",
        plans: &[Faults { losses: 1, ..NONE }],
        slow: true,
        ..SPACE
    },
    Space {
        name: "one-client",
        about: "one client and one crash of either server",
        plans: &CRASH,
        uses: [1, 0],
        whole: false,
        ..SPACE
    },
    Space {
        name: "crash-one",
        about: "one crash of either server",
        plans: &CRASH,
        whole: false,
        ..SPACE
    },
    Space {
        name: "lost-answer-and-crash",
        about: "an answer that is lost and a crash of either server",
        plans: &[
            Faults { crashes: [1, 0], losses: 1, ..NONE },
            Faults { crashes: [0, 1], losses: 1, ..NONE },
        ],
        ..SPACE
    },
    Space { name: "crash-each", about: "a crash of each server", plans: &CRASH_EACH, ..SPACE },
    Space {
        name: "crash-primary-twice",
        about: "two crashes of the primary",
        plans: &[Faults { crashes: [2, 0], ..NONE }],
        ..SPACE
    },
    Space {
        name: "cut",
        about: "a cut between the two",
        plans: &[Faults { cuts: 1, ..NONE }],
        ..SPACE
    },
    Space {
        name: "crash-and-pause",
        about: "a crash and a pause, each of either server",
        plans: &[
            Faults { crashes: [1, 0], pauses: [1, 0], ..NONE },
            Faults { crashes: [1, 0], pauses: [0, 1], ..NONE },
            Faults { crashes: [0, 1], pauses: [1, 0], ..NONE },
            Faults { crashes: [0, 1], pauses: [0, 1], ..NONE },
        ],
        rests: true,
        ..SPACE
    },
    Space {
        name: "stuck-disk-and-crash",
        about: "a disk that hangs and a crash, each of either server",
        plans: &[
            Faults { crashes: [1, 0], sticks: [1, 0], ..NONE },
            Faults { crashes: [1, 0], sticks: [0, 1], ..NONE },
            Faults { crashes: [0, 1], sticks: [1, 0], ..NONE },
            Faults { crashes: [0, 1], sticks: [0, 1], ..NONE },
        ],
        ..SPACE
    },
    Space {
        name: "hand-over-crash",
        about: "a crash of either while the secondary hands over to a primary that returned",
        plans: &CRASH,
        from: From::Returning,
        ..SPACE
    },
    Space {
        name: "catch-up-and-crash",
        about: "a crash of each while a secondary returns that its primary went on without",
        plans: &CRASH_EACH,
        from: From::Missed,
        ..SPACE
    },
    Space {
        name: "lost-disk",
        about: "the disk of a secondary that served is lost, and a crash of either server",
        plans: &CRASH,
        from: From::DiskLost,
        ..SPACE
    },
    Space {
        name: "handover-and-crash",
        about: "a planned handover and a crash of either server",
        plans: &[
            Faults { crashes: [1, 0], handovers: [1, 0], ..NONE },
            Faults { crashes: [0, 1], handovers: [1, 0], ..NONE },
        ],
        ..SPACE
    },
    Space {
        name: "apply-and-crash",
        about: "a bundle committed at both servers and a crash of either",
        plans: &[
            Faults { crashes: [1, 0], commits: [1, 1], ..NONE },
            Faults { crashes: [0, 1], commits: [1, 1], ..NONE },
        ],
        ..SPACE
    },
    Space {
        name: "escrow-crash-each",
        about: "escrow: a crash of each server",
        plans: &CRASH_EACH,
        ..ESCROW
    },
    Space {
        name: "escrow-transfers",
        about: "escrow: a crash of each server while a lease and its slot go to a secondary that was fenced",
        plans: &CRASH_EACH,
        from: From::Fenced,
        ..ESCROW
    },
    Space {
        name: "escrow-free-slot-moves",
        about: "escrow: a crash of each server while a free slot goes to a secondary that was fenced",
        plans: &CRASH_EACH,
        from: From::FencedAndFree,
        ..ESCROW
    },
    Space {
        name: "escrow-third-moves",
        about: "escrow: a crash of each server while a third client's lease moves, with two seats; none is renewed",
        plans: &CRASH_EACH,
        from: From::HeldByThird,
        seats: 2,
        renews: false,
        ..ESCROW
    },
    Space {
        name: "escrow-lost-disk",
        about: "escrow: the disk of a secondary that served is lost, and a crash of either server",
        plans: &CRASH,
        from: From::DiskLost,
        ..ESCROW
    },
    Space {
        name: "escrow-cut",
        about: "escrow: a cut between the two",
        plans: &[Faults { cuts: 1, ..NONE }],
        whole: false,
        ..ESCROW
    },
    Space {
        name: "escrow-slot-to-slot",
        about: "escrow: a crash of each server, with two seats and one client, which moves from slot to slot",
        plans: &CRASH_EACH,
        uses: [1, 0],
        seats: 2,
        ..ESCROW
    },
    Space {
        name: "escrow-two-seats",
        about: "escrow: two seats and a crash of either server",
        plans: &CRASH,
        seats: 2,
        rests: false,
        ..ESCROW
    },
    Space {
        name: "escrow-fence-and-crash",
        about: "escrow: a server dies and is fenced, and a crash of either",
        plans: &FENCE_AND_CRASH,
        ..ESCROW
    },
    Space {
        name: "escrow-slot-and-fence",
        about: "escrow: a server dies and is fenced, and a crash of either, with two seats and one client",
        plans: &FENCE_AND_CRASH,
        uses: [1, 0],
        seats: 2,
        ..ESCROW
    },
    Space {
        name: "cut-with-crashes",
        about: "a cut and a crash of each server",
        plans: &[Faults { crashes: [1, 1], cuts: 1, ..NONE }],
        whole: false,
        ..SPACE
    },
    Space {
        name: "escrow-two-clients",
        about: "escrow: a crash of each server, with two seats and two clients",
        plans: &CRASH_EACH,
        whole: false,
        seats: 2,
        ..ESCROW
    },
    Space {
        name: "escrow-two-and-fence",
        about: "escrow: a server dies and is fenced, and a crash of either, with two seats and two clients",
        plans: &FENCE_AND_CRASH,
        whole: false,
        seats: 2,
        ..ESCROW
    },
];
