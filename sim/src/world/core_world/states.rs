//! In which states the two servers were seen together, and how the link between them was: a campaign that never gets
//! somewhere proves nothing about it.

use tandem::pair::State;

/// How the link between the two was.
const LINKS: [&str; 3] = ["up", "down", "cut"];
/// What a server was; the last is one whose process does not run.
const STATES: [&str; 5] = ["unconfigured", "recovering", "active", "standby", "down"];

/// Which combinations were seen, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States(u128);

impl States {
    /// Notes a combination.
    pub(super) fn see(&mut self, states: [Option<State>; 2], is_up: bool, is_cut: bool) {
        let [one, other] = states.map(place);
        let link = if is_cut { 2 } else { usize::from(!is_up) };
        self.0 |= 1 << bit(one, other, link);
    }

    /// Those of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a combination was seen: by the words for the states and the link.
    #[must_use]
    pub fn has(self, one: &str, other: &str, link: &str) -> bool {
        let find = |words: &[&str], word: &str| words.iter().position(|known| *known == word);
        match (find(&STATES, one), find(&STATES, other), find(&LINKS, link)) {
            (Some(one), Some(other), Some(link)) => self.0 & (1 << bit(one, other, link)) != 0,
            _ => false,
        }
    }

    /// Every combination that was seen: the first server's state, the second's, the link.
    pub fn seen(self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        all().filter(move |(one, other, link)| self.has(one, other, link))
    }

    /// Why a pair cannot be in a combination, where that is so.
    #[must_use]
    pub fn unreachable(one: &str, other: &str, link: &str) -> Option<&'static str> {
        let both = |word: &str| one == word && other == word;
        match link {
            "up" if one == "down" || other == "down" => {
                Some("nothing is connected to a server that is down")
            }
            "up" if both("unconfigured") => {
                Some("without a bundle neither knows whom to connect to")
            }
            "cut" if both("unconfigured") => Some(
                "both get their first bundle before anything breaks, and no run loses both disks",
            ),
            _ => None,
        }
    }

    /// The combinations that a pair can be in and was not seen in.
    pub fn missing(self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        all().filter(move |(one, other, link)| {
            !self.has(one, other, link) && Self::unreachable(one, other, link).is_none()
        })
    }

    /// The words for states, in the order of a table.
    #[must_use]
    pub const fn words() -> [&'static str; 5] {
        STATES
    }
}

fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    STATES.into_iter().flat_map(|one| {
        STATES
            .into_iter()
            .flat_map(move |other| LINKS.into_iter().map(move |link| (one, other, link)))
    })
}

fn place(state: Option<State>) -> usize {
    match state {
        Some(State::Unconfigured) => 0,
        Some(State::Recovering) => 1,
        Some(State::Active) => 2,
        Some(State::Standby) => 3,
        None => 4,
    }
}

const fn bit(one: usize, other: usize, link: usize) -> usize {
    (one * STATES.len() + other) * LINKS.len() + link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_told_by_its_words() {
        let mut states = States::default();
        states.see([Some(State::Active), None], false, true);
        states.see([Some(State::Active), Some(State::Standby)], true, false);
        let seen: Vec<_> = states.seen().collect();
        assert_eq!(seen, [("active", "standby", "up"), ("active", "down", "cut")]);
        let missing: Vec<_> = states.missing().collect();
        // Of 75, two were seen, and eleven cannot be.
        assert_eq!(missing.len(), 62);
        assert!(missing.contains(&("active", "standby", "cut")));
        assert!(!missing.contains(&("down", "active", "up")));
    }
}
