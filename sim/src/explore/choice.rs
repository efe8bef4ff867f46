//! What may happen next: one transition of the world, with the text that a recording keeps of it.

use std::fmt;
use std::str::FromStr;

/// A server: 0 is the primary.
pub(super) type At = usize;

/// A client: 0 or 1.
pub(super) type Who = usize;

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Choice {
    /// Which of the space's faults may come.
    Plan(u8),
    /// The two servers connect.
    Connect,
    /// The next of what is on its way to this server arrives.
    Deliver(At),
    /// The next write of this server is durable.
    Write(At),
    /// A server that dropped its memory has opened its disk again.
    Reopen(At),
    /// A client asks for a seat.
    Ask(Who, At),
    /// A client renews its lease.
    Renew(Who, At),
    /// A client gives its seat back.
    Release(Who, At),
    /// An operator asks this server to hand service over to the other one.
    HandOver(At),
    /// An operator commits the second bundle at this server.
    Commit(At),
    /// An operator tells this server that the other one is dead.
    Fence(At),
    /// A client is told of its seat.
    Hear(Who),
    /// The answer that grants a client its seat is lost.
    Lose(Who),
    /// One heartbeat passes.
    Tick,
    /// A server's process dies: so many of the writes that are under way survive.
    Kill(At, u8),
    /// A server's machine dies: likewise, and nobody is told; what it sent is lost.
    Burn(At, u8),
    /// A dead server starts again.
    Start(At),
    /// A server's machine stands still.
    Pause(At),
    /// It goes on.
    Wake(At),
    /// Nothing passes between the servers any longer.
    Cut,
    /// It does again.
    Heal,
    /// A server's disk hangs.
    Stick(At),
    /// It goes on.
    Loosen(At),
}

impl Choice {
    /// The server that it is about, where it is about one alone.
    pub(super) const fn owner(self) -> Option<At> {
        match self {
            Self::Deliver(at)
            | Self::Write(at)
            | Self::Reopen(at)
            | Self::Ask(_, at)
            | Self::Renew(_, at)
            | Self::Release(_, at)
            | Self::HandOver(at)
            | Self::Commit(at)
            | Self::Fence(at)
            | Self::Kill(at, _)
            | Self::Burn(at, _)
            | Self::Start(at)
            | Self::Pause(at)
            | Self::Wake(at)
            | Self::Stick(at)
            | Self::Loosen(at) => Some(at),
            Self::Plan(_)
            | Self::Connect
            | Self::Hear(_)
            | Self::Lose(_)
            | Self::Tick
            | Self::Cut
            | Self::Heal => None,
        }
    }

    /// Whether what stands still may go on after it.
    pub(super) const fn makes_fresh(self) -> bool {
        matches!(self, Self::Tick | Self::Kill(..) | Self::Burn(..))
    }

    /// Whether what stands still may go on after it, where it could before.
    pub(super) const fn keeps_fresh(self) -> bool {
        matches!(self, Self::Start(_) | Self::Wake(_) | Self::Loosen(_) | Self::Heal)
    }
}

const SERVERS: [&str; 2] = ["a", "b"];

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Plan(plan) => write!(f, "plan {plan}"),
            Self::Connect => f.write_str("connect"),
            Self::Deliver(at) => write!(f, "deliver {}", SERVERS[at]),
            Self::Write(at) => write!(f, "write {}", SERVERS[at]),
            Self::Reopen(at) => write!(f, "reopen {}", SERVERS[at]),
            Self::Ask(who, at) => write!(f, "ask {who} {}", SERVERS[at]),
            Self::Renew(who, at) => write!(f, "renew {who} {}", SERVERS[at]),
            Self::Release(who, at) => write!(f, "release {who} {}", SERVERS[at]),
            Self::HandOver(at) => write!(f, "hand-over {}", SERVERS[at]),
            Self::Commit(at) => write!(f, "commit {}", SERVERS[at]),
            Self::Fence(at) => write!(f, "fence at {}", SERVERS[at]),
            Self::Hear(who) => write!(f, "hear {who}"),
            Self::Lose(who) => write!(f, "lose {who}"),
            Self::Tick => f.write_str("tick"),
            Self::Kill(at, kept) => write!(f, "kill {} {kept}", SERVERS[at]),
            Self::Burn(at, kept) => write!(f, "burn {} {kept}", SERVERS[at]),
            Self::Start(at) => write!(f, "start {}", SERVERS[at]),
            Self::Pause(at) => write!(f, "pause {}", SERVERS[at]),
            Self::Wake(at) => write!(f, "wake {}", SERVERS[at]),
            Self::Cut => f.write_str("cut"),
            Self::Heal => f.write_str("heal"),
            Self::Stick(at) => write!(f, "stick {}", SERVERS[at]),
            Self::Loosen(at) => write!(f, "loosen {}", SERVERS[at]),
        }
    }
}

/// Why a text is not a choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is nothing that can happen in a search")]
pub struct ChoiceError(String);

impl FromStr for Choice {
    type Err = ChoiceError;
    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        let words: Vec<&str> = text.split(' ').collect();
        let server = |word: &&str| SERVERS.iter().position(|server| server == word);
        let number = |word: &&str| word.parse::<u8>().ok();
        let client = |word: &&str| number(word).map(usize::from).filter(|who| *who < 2);
        let choice = match words.as_slice() {
            ["plan", plan] => number(plan).map(Self::Plan),
            ["connect"] => Some(Self::Connect),
            ["deliver", at] => server(at).map(Self::Deliver),
            ["write", at] => server(at).map(Self::Write),
            ["reopen", at] => server(at).map(Self::Reopen),
            ["ask", who, at] => client(who).zip(server(at)).map(|(who, at)| Self::Ask(who, at)),
            ["renew", who, at] => client(who).zip(server(at)).map(|(who, at)| Self::Renew(who, at)),
            ["release", who, at] => {
                client(who).zip(server(at)).map(|(who, at)| Self::Release(who, at))
            }
            ["hand-over", at] => server(at).map(Self::HandOver),
            ["commit", at] => server(at).map(Self::Commit),
            ["fence", "at", at] => server(at).map(Self::Fence),
            ["hear", who] => client(who).map(Self::Hear),
            ["lose", who] => client(who).map(Self::Lose),
            ["tick"] => Some(Self::Tick),
            ["kill", at, kept] => {
                server(at).zip(number(kept)).map(|(at, kept)| Self::Kill(at, kept))
            }
            ["burn", at, kept] => {
                server(at).zip(number(kept)).map(|(at, kept)| Self::Burn(at, kept))
            }
            ["start", at] => server(at).map(Self::Start),
            ["pause", at] => server(at).map(Self::Pause),
            ["wake", at] => server(at).map(Self::Wake),
            ["cut"] => Some(Self::Cut),
            ["heal"] => Some(Self::Heal),
            ["stick", at] => server(at).map(Self::Stick),
            ["loosen", at] => server(at).map(Self::Loosen),
            _ => None,
        };
        choice.ok_or_else(|| ChoiceError(text.to_owned()))
    }
}
