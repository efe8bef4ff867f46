//! Scenarios: what breaks when, and what must hold. YAML that an administrator can read.
//!
//! These are the types as they are written; [`Scenario::plan`] makes the list of things to do out of them, for one
//! manifest. Doc comments here are the descriptions in `schema/scenario.schema.json`.

mod builtin;
mod expression;
mod plan;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tandem::manifest::types::Mode;
use tandem::measure::{Span, Timestamp};
use tandem::name::{ProductName, UserName, UserPattern};

pub use builtin::{Builtin, builtin};
pub use expression::{Limit, SpanRange, Time, Timing};
pub use plan::{Action, Expected, Mishap, Plan};

/// How long a scenario lasts at most.
pub(crate) const LONGEST: Span = Span::from_secs(31 * 86_400);

/// What breaks when on a simulated pair, and what must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// The scenario's name: letters, digits and `-`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9-]*$"))]
    pub scenario: String,
    /// What it shows, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The manifest to simulate, relative to this file. Absent: the built-in example, or `--manifest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The redundancy mode that the pair runs, whatever the manifest says. Absent: the manifest's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The date at which the run starts. Absent: a day after the latest license was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Timestamp>,
    /// Who asks for seats.
    #[serde(default)]
    pub clients: Clients,
    /// How long the run lasts before everything is mended. Absent: until the last step or expectation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Time>,
    /// What happens, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// What must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Expectation>,
}

/// Who asks for seats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Clients {
    /// How many clients there are, 1 to 1000. Absent: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub count: Option<u32>,
    /// More clients than seats, so that somebody always waits: a quarter more of each product, at most 40. Instead
    /// of `count`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crowded: bool,
    /// The product that they want. Absent: every product is wanted by some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductName>,
    /// How long each holds its seat before it gives it back and wants one again (`5m` or `10s..2h`, short times as
    /// often as long ones). Absent: to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<SpanRange>,
    /// How long each waits in the queue where no seat is free (`30s` or `10s..5m`). Absent: they do not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<SpanRange>,
    /// For how long some borrow their seat, each time one in three, where the manifest lends (`1m..1h`). Absent: nobody
    /// borrows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub borrow: Option<SpanRange>,
}

/// One thing that happens: a time and exactly one of the other fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// When, since the run began; up to a heartbeat later, as the seed decides.
    pub at: Time,
    /// A server loses power: what it has not synced may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash: Option<String>,
    /// A server's process is killed: what it wrote is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<String>,
    /// A server is asked to stop, and does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// A server that is down starts again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    /// A server that is down starts again with an empty disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_empty: Option<String>,
    /// Two of `primary`, `secondary`, a server's name, `clients` and `reconciler`: what they send each other is
    /// lost, and connections between them die.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<[String; 2]>,
    /// From whom, to whom: what the first sends the second is lost; the other direction works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_one_way: Option<[String; 2]>,
    /// A slow link: what two send each other takes half a heartbeat. No cut: it all arrives, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<[String; 2]>,
    /// Ends a cut between two, and makes a slow link fast again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<[String; 2]>,
    /// A pulled cable: what two send each other waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<[String; 2]>,
    /// The cable is back: what waited arrives, late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<[String; 2]>,
    /// An operator moves service to a server, which must be paired with the one that serves. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<String>,
    /// An operator's word that a server is dead and serves nobody, said to the other one. It is kept: the server must be
    /// down, in the mode `mirror` for one ttl, and in the mode `escrow` no client reaches it before it has met its peer
    /// again. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<String>,
    /// A server's machine stands still: what arrives waits, and time goes on. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<String>,
    /// A machine that stood still goes on. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// Some clients' computers sleep for a while: their clocks count on. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<Suspend>,
    /// Some of what two send each other is lost. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Share>,
    /// Some of the requests and answers between two arrive twice. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Share>,
    /// Some of the requests and answers between two arrive late, after others. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reorder: Option<Share>,
    /// What two send each other waits for a random time of up to twice `failoverAfter`. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clog: Option<[String; 2]>,
    /// The reconciler applies another manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Reload>,
    /// Somebody offers both servers a bundle that no server may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<Forgery>,
    /// The next sync of a server's disk fails, and what it should have written is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_sync: Option<String>,
    /// A server's disk is full from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fill_disk: Option<String>,
    /// A server's disk has room again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_disk: Option<String>,
    /// What a server writes is reported late: when the stall ends. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall: Option<String>,
    /// A server's disk that stalled reports what it has written. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstall: Option<String>,
    /// Clocks run at another rate from now on. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_rate: Option<ClockRate>,
    /// A server's wall clock is set. Core world only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_jump: Option<ClockJump>,
}

/// Clients whose computers sleep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Suspend {
    /// Of a hundred clients, how many: the seed chooses which.
    #[schemars(range(min = 1, max = 100))]
    pub percent: u8,
    /// For how long.
    pub lasts: Time,
}

/// A share of the messages between two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Share {
    /// Between whom: two of `primary`, `secondary`, a server's name, `clients` and `reconciler`.
    pub between: [String; 2],
    /// Of a hundred messages, how many; 0 ends it.
    #[schemars(range(min = 0, max = 100))]
    pub percent: u8,
}

/// A clock that runs at another rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClockRate {
    /// Whose: `primary`, `secondary`, a server's name, or `clients`, each of whom gets a rate of up to this, either way.
    pub of: String,
    /// How much faster than true time, in millionths; slower where it is negative.
    #[schemars(range(min = -100_000, max = 100_000))]
    pub ppm: i32,
}

/// A server's wall clock that is set: exactly one of `ahead` and `back`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClockJump {
    /// Whose: `primary`, `secondary` or a server's name.
    pub of: String,
    /// Ahead by so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Time>,
    /// Back by so much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Time>,
}

/// What a reload applies: the scenario's manifest changed in exactly one way, or another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reload {
    /// Another manifest, relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The same manifest with one more user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_user: Option<UserName>,
    /// The same manifest with licenses of so many seats of a hundred, signed by a vendor of the simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub seats_percent: Option<u8>,
    /// The same manifest with licenses of the secondary that end at this time of the run, signed by a vendor of the
    /// simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licenses_end: Option<Time>,
    /// The same manifest, which denies every seat to the users of this pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<UserPattern>,
    /// The same manifest with licenses of the primary that end at this time of the run, signed by a vendor of the
    /// simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_licenses_end: Option<Time>,
    /// The same manifest, in which every assignment lends so many seats, for a day at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub lend: Option<u32>,
    /// The same manifest with one more operator, who signs whatever is applied after it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub add_operator: bool,
    /// The same manifest with the roles of the two servers swapped, each with license files of its new role.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub swap_roles: bool,
    /// The same manifest with `onOverGrant: revoke`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoke: bool,
    /// The same manifest with licenses that let the secondary serve without its primary for so long, signed by a vendor of
    /// the simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standalone: Option<Time>,
    /// Whether one server that can be reached is enough.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degraded: bool,
}

/// Why a bundle must be refused.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Forgery {
    /// Each server is given the license files of the other one's role.
    WrongRole,
    /// The secondary's files are given to the primary, with the label of the primary's.
    Relabelled,
    /// One character of a license's payload is changed.
    Tampered,
    /// The license is signed by a vendor that the manifest does not trust.
    UnknownVendor,
    /// The bundle is signed by somebody who is no operator.
    UnknownOperator,
}

impl Forgery {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::WrongRole,
        Self::Relabelled,
        Self::Tampered,
        Self::UnknownVendor,
        Self::UnknownOperator,
    ];

    /// The word for it in scenarios and histories.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongRole => "wrong-role",
            Self::Relabelled => "relabelled",
            Self::Tampered => "tampered",
            Self::UnknownVendor => "unknown-vendor",
            Self::UnknownOperator => "unknown-operator",
        }
    }
}

/// Something that must hold: at a time, by a time, or during the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// The servers are as said at this time: as long after the step before it as the two times are apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The servers are as said at some time until this one, and at this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Time>,
    /// The server that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// The server that stays silent, ready to take over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<String>,
    /// How the two ledgers are, as they stand on the disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledgers: Option<Ledgers>,
    /// Nobody is without a seat that they are entitled to, where one is free, for longer: `<5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Limit>,
    /// At most so many lose a seat that they hold, before they give it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<u32>,
    /// The promises that are judged. Absent everywhere: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub always: Option<Vec<crate::oracle::Promise>>,
}

/// How the ledgers of two servers are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Ledgers {
    /// They have the same leases, but for one that is just being given, renewed or returned.
    Equal,
}

/// Why a scenario cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// It is not of a scenario's shape.
    #[error("{0}")]
    Shape(String),
    /// The name is none.
    #[error("`{0}` is no name for a scenario: letters, digits and `-`")]
    Name(String),
    /// A step, counted from 1, does not say exactly one thing.
    #[error("step {step} must say exactly one thing that happens, not {count}")]
    Step {
        /// Which step.
        step: usize,
        /// How many things it says.
        count: usize,
    },
    /// An expectation, counted from 1, does not go together.
    #[error("expectation {expectation}: {problem}")]
    Expectation {
        /// Which expectation.
        expectation: usize,
        /// What does not go together.
        problem: &'static str,
    },
    /// A word that names no server here.
    #[error("`{0}` is no server of this manifest: use `primary`, `secondary` or a server's name")]
    Server(String),
    /// A word that names no end of a link here.
    #[error(
        "`{0}` is nobody on this network: use `primary`, `secondary`, a server's name, `clients` or `reconciler`"
    )]
    Party(String),
    /// A product that the manifest does not have.
    #[error("the manifest has no product `{0}`")]
    Product(ProductName),
    /// A reload that says nothing, or two things.
    #[error("step {0}: a reload takes exactly one of its fields beside `degraded`")]
    Reload(usize),
    /// A step, counted from 1, with a number that is out of range.
    #[error("step {step}: {problem}")]
    Range {
        /// Which step.
        step: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// It ends before its own last step or expectation.
    #[error(
        "`lasts` is {lasts}, and something happens or is expected at {last}: make it as long, or leave it out"
    )]
    Lasts {
        /// How long it lasts.
        lasts: Span,
        /// When the last thing happens.
        last: Span,
    },
    /// It would take too long to run.
    #[error("this takes {0} of simulated time: a scenario lasts {LONGEST} at most")]
    TooLong(Span),
    /// The number of clients is out of range.
    #[error("`clients.count` is 1 to 1000, not {0}")]
    Clients(u32),
    /// A number of clients, and another way to say how many.
    #[error("`clients` takes `count` or `crowded`, not both")]
    Crowded,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// The text is no scenario, or a step or an expectation does not say what it must.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = serde_yaml::from_str(text).map_err(|error| {
            let error = error.without_snippet();
            ScenarioError::Shape(error.render_with_formatter(&serde_yaml::UserMessageFormatter))
        })?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        let name = &self.scenario;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Err(ScenarioError::Name(name.clone()));
        }
        if let Some(count) = self.clients.count {
            if !(1..=1000).contains(&count) {
                return Err(ScenarioError::Clients(count));
            }
            if self.clients.crowded {
                return Err(ScenarioError::Crowded);
            }
        }
        for (at, step) in (1..).zip(&self.steps) {
            let count = step.count();
            if count != 1 {
                return Err(ScenarioError::Step { step: at, count });
            }
            if step.reload.as_ref().is_some_and(|reload| reload.count() != 1) {
                return Err(ScenarioError::Reload(at));
            }
            if let Some(problem) = step.out_of_range() {
                return Err(ScenarioError::Range { step: at, problem });
            }
        }
        for (expectation, expected) in (1..).zip(&self.expect) {
            if let Some(problem) = expected.problem() {
                return Err(ScenarioError::Expectation { expectation, problem });
            }
        }
        Ok(())
    }
}

impl Reload {
    fn count(&self) -> usize {
        let said = [
            self.manifest.is_some(),
            self.add_user.is_some(),
            self.seats_percent.is_some(),
            self.licenses_end.is_some(),
            self.deny.is_some(),
            self.primary_licenses_end.is_some(),
            self.lend.is_some(),
            self.add_operator,
            self.swap_roles,
            self.revoke,
            self.standalone.is_some(),
        ];
        said.into_iter().filter(|there| *there).count()
    }
}

impl Step {
    fn out_of_range(&self) -> Option<&'static str> {
        let shares = [&self.loss, &self.duplicate, &self.reorder];
        let percent = shares.into_iter().flatten().map(|share| share.percent);
        let suspended = self.suspend.as_ref().map(|suspend| suspend.percent);
        let seats = self.reload.as_ref().and_then(|reload| reload.seats_percent);
        if percent.chain(suspended).chain(seats).any(|percent| percent > 100) {
            return Some("`percent` is at most 100");
        }
        if self.clock_rate.as_ref().is_some_and(|rate| rate.ppm.unsigned_abs() > 100_000) {
            return Some("`ppm` is -100000 to 100000");
        }
        let jump = self.clock_jump.as_ref();
        jump.is_some_and(|jump| jump.ahead.is_some() == jump.back.is_some())
            .then_some("`clockJump` takes exactly one of `ahead` and `back`")
    }

    fn count(&self) -> usize {
        [
            self.crash.is_some(),
            self.kill.is_some(),
            self.stop.is_some(),
            self.restart.is_some(),
            self.restart_empty.is_some(),
            self.cut.is_some(),
            self.cut_one_way.is_some(),
            self.slow.is_some(),
            self.repair.is_some(),
            self.hold.is_some(),
            self.release.is_some(),
            self.reload.is_some(),
            self.offer.is_some(),
            self.fail_sync.is_some(),
            self.fill_disk.is_some(),
            self.empty_disk.is_some(),
            self.handover.is_some(),
            self.fence.is_some(),
            self.pause.is_some(),
            self.resume.is_some(),
            self.suspend.is_some(),
            self.loss.is_some(),
            self.duplicate.is_some(),
            self.reorder.is_some(),
            self.clog.is_some(),
            self.stall.is_some(),
            self.unstall.is_some(),
            self.clock_rate.is_some(),
            self.clock_jump.is_some(),
        ]
        .into_iter()
        .filter(|there| *there)
        .count()
    }
}

impl Expectation {
    fn problem(&self) -> Option<&'static str> {
        let states = self.active.is_some() || self.standby.is_some() || self.ledgers.is_some();
        let timed = self.at.is_some() || self.by.is_some();
        let whole = self.gap.is_some() || self.lost.is_some() || self.always.is_some();
        if self.at.is_some() && self.by.is_some() {
            Some("it takes `at` or `by`, not both")
        } else if states != timed {
            Some("`active`, `standby` and `ledgers` go with `at` or `by`")
        } else if !states && !whole {
            Some("it says nothing")
        } else if states && whole {
            Some("`gap`, `lost` and `always` are entries of their own")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Scenario::parse(text).expect_err("it is no scenario").to_string()
    }

    #[test]
    fn the_scenario_of_the_manual_reads() {
        let scenario = Scenario::parse(
            "scenario: primary-dies-while-full\n\
             manifest: ../../examples/studio/tandem.yaml\n\
             clients: {count: 40, product: designer, hold: 5m..2h}\n\
             steps:\n  - at: 30s\n    crash: lic-a\n  - at: 2m\n    restart: lic-a\n\
             expect:\n  - at: 35s\n    active: lic-b\n  - by: 140s\n    active: lic-a\n    standby: lic-b\n\
             \x20 - gap: <5s\n  - always: [one-voice, capacity, durability]\n",
        )
        .expect("it reads");
        assert_eq!((scenario.steps.len(), scenario.expect.len()), (2, 4));
    }

    #[test]
    fn a_step_says_exactly_one_thing() {
        let two = "scenario: x\nsteps:\n  - at: 1s\n    crash: primary\n    kill: primary\n";
        insta::assert_snapshot!(error(two), @"step 1 must say exactly one thing that happens, not 2");
        let none = "scenario: x\nsteps:\n  - at: 1s\n";
        insta::assert_snapshot!(error(none), @"step 1 must say exactly one thing that happens, not 0");
        assert!(
            error("scenario: x\nsteps:\n  - at: 1s\n    explode: primary\n").contains("explode")
        );
    }

    #[test]
    fn an_expectation_goes_together() {
        let text = "scenario: x\nexpect:\n  - active: primary\n";
        insta::assert_snapshot!(error(text), @"expectation 1: `active`, `standby` and `ledgers` go with `at` or `by`");
        let text = "scenario: x\nexpect:\n  - at: 1s\n    by: 2s\n    active: primary\n";
        insta::assert_snapshot!(error(text), @"expectation 1: it takes `at` or `by`, not both");
    }
}
