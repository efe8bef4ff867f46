//! The scenarios that are compiled in and found by name. They use roles and expressions alone, so that they run on
//! any manifest.

/// A scenario that is compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// Its name, and its file's.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! builtins {
    ($($name:literal),* $(,)?) => {
        /// All of them, by name.
        const ALL: &[Builtin] = &[
            $(Builtin { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".yaml")) }),*
        ];
    };
}

builtins![
    "borrowed-seats",
    "clock-drift",
    "conflicting-bundles",
    "cut-one-way",
    "dead-leader",
    "degraded-apply",
    "disk-stall",
    "dismissed-users",
    "escrow-clock-drift",
    "escrow-drains",
    "escrow-early-return",
    "escrow-fence",
    "escrow-handover",
    "escrow-lost-disk",
    "escrow-lowered-capacity",
    "escrow-outage",
    "escrow-rush-hour",
    "escrow-stale-fence",
    "escrow-swapped-roles",
    "failback",
    "failing-disk",
    "failover",
    "flapping-primary",
    "graceful-stop",
    "late-disk",
    "license-ends-in-split",
    "lone-survivor",
    "lossy-link",
    "lost-disk",
    "lowered-capacity",
    "paused-primary",
    "planned-handover",
    "reload-during-failover",
    "repeated-requests",
    "revoked-after-split",
    "role-encoding",
    "slow-link",
    "split",
    "split-escrow",
    "stale-takeover",
    "standalone-ends",
    "suspended-clients",
    "swapped-roles",
    "thundering-herd",
    "total-outage",
    "unlearned-secondary",
    "unlicensed-primary",
    "waiting-clients",
];

impl Builtin {
    /// All of them, by name.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        ALL
    }
}

/// The scenario of a name.
#[must_use]
pub fn builtin(name: &str) -> Option<Builtin> {
    ALL.iter().find(|builtin| builtin.name == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn every_one_reads_is_named_as_its_file_and_says_what_it_shows() {
        for builtin in ALL {
            let scenario = Scenario::parse(builtin.text).expect(builtin.name);
            assert_eq!(scenario.scenario, builtin.name);
            assert!(scenario.about.is_some(), "{}", builtin.name);
            assert_eq!(scenario.manifest, None, "{}", builtin.name);
        }
    }

    #[test]
    fn every_file_is_compiled_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let files = std::fs::read_dir(folder).expect("the folder").count();
        assert_eq!(files, ALL.len());
        assert!(ALL.is_sorted_by_key(|builtin| builtin.name));
    }
}
