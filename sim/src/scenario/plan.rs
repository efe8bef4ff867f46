//! A scenario for one manifest: servers by name, times as numbers, steps in order. Nothing is left to decide but
//! what the seed decides.

use tandem::manifest::types::{Manifest, Role};
use tandem::measure::Span;
use tandem::name::ProductName;

use crate::oracle::Promise;
use crate::scenario::{
    Clients, ClockJump, ClockRate, Expectation, Forgery, LONGEST, Reload, Scenario, ScenarioError,
    Share, SpanRange, Step, Time, Timing,
};

/// What is done in a run, and what is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What happens, by time.
    pub actions: Vec<(Span, Action)>,
    /// What must hold of the servers.
    pub expected: Vec<Expected>,
    /// The longest that anybody may be without a seat.
    pub gap: Option<Span>,
    /// The most that may lose a seat.
    pub lost: Option<u64>,
    /// The promises that are judged.
    pub promises: Vec<Promise>,
    /// When everything is mended and the rest must converge.
    pub mended_at: Span,
    /// How many clients there are; absent: more than there are seats.
    pub clients: Option<u32>,
    /// The products that they want, in turn.
    pub products: Vec<ProductName>,
    /// How long they hold a seat; absent: to the end.
    pub hold: Option<SpanRange>,
    /// How long they wait where no seat is free; absent: not at all.
    pub wait: Option<SpanRange>,
    /// For how long some borrow a seat; absent: nobody does.
    pub borrow: Option<SpanRange>,
    /// Whether what happens is drawn by each run instead: core world only.
    pub is_wild: bool,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A server loses power.
    Crash(String),
    /// A server's process is killed.
    Kill(String),
    /// A server is asked to stop.
    Stop(String),
    /// A server starts again.
    Restart {
        /// Which.
        server: String,
        /// With an empty disk.
        empty: bool,
    },
    /// What the two send each other is lost.
    Cut(String, String),
    /// What the first sends the second is lost.
    CutOneWay(String, String),
    /// What the two send each other takes long.
    Slow(String, String),
    /// Ends a cut, or makes a link fast again.
    Repair(String, String),
    /// What the two send each other waits.
    Hold(String, String),
    /// What waited arrives.
    Release(String, String),
    /// Another manifest is applied.
    Reload(Reload),
    /// A bundle of the setup is applied: 0 is the first one, then come those of its reloads.
    Apply {
        /// Which.
        bundle: usize,
        /// Whether one server that can be reached is enough.
        degraded: bool,
    },
    /// A bundle is offered that no server may take.
    Offer(Forgery),
    /// The next sync of a server's disk fails.
    FailSync(String),
    /// A server's disk is full, or has room again.
    DiskFull {
        /// Whose disk.
        server: String,
        /// Whether it is full.
        full: bool,
    },
    /// An operator moves service to a server.
    Handover(String),
    /// An operator says that a server is dead.
    Fence(String),
    /// A server's machine stands still.
    Pause(String),
    /// It goes on.
    Resume(String),
    /// Some clients' computers sleep.
    Suspend {
        /// Of a hundred, how many.
        percent: u8,
        /// For how long.
        lasts: Span,
    },
    /// Something happens to some of the messages between two.
    Share {
        /// What.
        mishap: Mishap,
        /// Between whom.
        between: [String; 2],
        /// Of a hundred, to how many.
        percent: u8,
    },
    /// What two send each other waits for a random time.
    Clog(String, String),
    /// A server's disk reports late, or what is owed.
    Stall {
        /// Whose disk.
        server: String,
        /// Whether it stalls.
        stalled: bool,
    },
    /// A clock runs at another rate.
    ClockRate {
        /// Whose: a server or `clients`.
        of: String,
        /// In millionths.
        ppm: i64,
    },
    /// A server's wall clock is set.
    ClockJump {
        /// Whose.
        server: String,
        /// By so many milliseconds.
        ms: i64,
    },
}

/// What happens to some of the messages on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// They are lost.
    Loss,
    /// They arrive twice.
    Duplicate,
    /// They arrive late.
    Reorder,
}

/// What must hold of the servers at a time, or from some time until it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The time.
    pub at: Span,
    /// Who is active.
    pub active: Option<String>,
    /// Who is standby.
    pub standby: Option<String>,
    /// Whether the two disks have the same leases.
    pub equal: bool,
}

/// How many clients there are where nothing else is said.
const CLIENTS: u32 = 10;

/// The ends of links that are no servers.
const PARTIES: [&str; 2] = ["clients", "reconciler"];

fn server(manifest: &Manifest, word: &str) -> Result<String, ScenarioError> {
    let role = match word {
        "primary" => Some(Role::Primary),
        "secondary" => Some(Role::Secondary),
        _ => None,
    };
    manifest
        .servers
        .iter()
        .find(|server| server.name.as_str().eq_ignore_ascii_case(word) || role == Some(server.role))
        .map(|server| server.name.as_str().to_owned())
        .ok_or_else(|| ScenarioError::Server(word.to_owned()))
}

fn party(manifest: &Manifest, word: &str) -> Result<String, ScenarioError> {
    if PARTIES.contains(&word) {
        return Ok(word.to_owned());
    }
    server(manifest, word).map_err(|_| ScenarioError::Party(word.to_owned()))
}

fn action(
    manifest: &Manifest,
    timing: &Timing,
    step: &Step,
) -> Result<Option<Action>, ScenarioError> {
    let share = |share: &Option<Share>, mishap| {
        share
            .as_ref()
            .map(|share| {
                let [a, b] = &share.between;
                let between = [party(manifest, a)?, party(manifest, b)?];
                Ok(Action::Share { mishap, between, percent: share.percent })
            })
            .transpose()
    };
    let rate = |rate: &ClockRate| {
        let of = if rate.of == "clients" { rate.of.clone() } else { server(manifest, &rate.of)? };
        Ok(Action::ClockRate { of, ppm: i64::from(rate.ppm) })
    };
    let jump = |jump: &ClockJump| {
        let ms = |time: &Option<Time>| {
            let ms = time.as_ref().map_or(0, |time| time.resolve(timing).ms());
            i64::try_from(ms).unwrap_or(i64::MAX)
        };
        let ms = ms(&jump.ahead).saturating_sub(ms(&jump.back));
        Ok(Action::ClockJump { server: server(manifest, &jump.of)?, ms })
    };
    let one = |word: &Option<String>, make: fn(String) -> Action| {
        word.as_ref().map(|word| server(manifest, word).map(make)).transpose()
    };
    let two = |words: &Option<[String; 2]>, make: fn(String, String) -> Action| {
        words.as_ref().map(|[a, b]| Ok(make(party(manifest, a)?, party(manifest, b)?))).transpose()
    };
    let restart = |empty| move |server| Action::Restart { server, empty };
    let (plain, empty) = (restart(false), restart(true));
    let found = [
        one(&step.crash, Action::Crash)?,
        one(&step.kill, Action::Kill)?,
        one(&step.stop, Action::Stop)?,
        step.restart.as_ref().map(|word| server(manifest, word).map(plain)).transpose()?,
        step.restart_empty.as_ref().map(|word| server(manifest, word).map(empty)).transpose()?,
        two(&step.cut, Action::Cut)?,
        two(&step.cut_one_way, Action::CutOneWay)?,
        two(&step.slow, Action::Slow)?,
        two(&step.repair, Action::Repair)?,
        two(&step.hold, Action::Hold)?,
        two(&step.release, Action::Release)?,
        step.reload.clone().map(Action::Reload),
        step.offer.map(Action::Offer),
        one(&step.fail_sync, Action::FailSync)?,
        one(&step.fill_disk, |server| Action::DiskFull { server, full: true })?,
        one(&step.empty_disk, |server| Action::DiskFull { server, full: false })?,
        one(&step.handover, Action::Handover)?,
        one(&step.fence, Action::Fence)?,
        one(&step.pause, Action::Pause)?,
        one(&step.resume, Action::Resume)?,
        step.suspend.as_ref().map(|suspend| Action::Suspend {
            percent: suspend.percent,
            lasts: suspend.lasts.resolve(timing),
        }),
        share(&step.loss, Mishap::Loss)?,
        share(&step.duplicate, Mishap::Duplicate)?,
        share(&step.reorder, Mishap::Reorder)?,
        two(&step.clog, Action::Clog)?,
        one(&step.stall, |server| Action::Stall { server, stalled: true })?,
        one(&step.unstall, |server| Action::Stall { server, stalled: false })?,
        step.clock_rate.as_ref().map(rate).transpose()?,
        step.clock_jump.as_ref().map(jump).transpose()?,
    ];
    Ok(found.into_iter().flatten().next())
}

fn expected(
    manifest: &Manifest,
    timing: &Timing,
    expectation: &Expectation,
) -> Result<Option<Expected>, ScenarioError> {
    let named =
        |word: &Option<String>| word.as_ref().map(|word| server(manifest, word)).transpose();
    let time = expectation.at.as_ref().or(expectation.by.as_ref());
    let (active, standby) = (named(&expectation.active)?, named(&expectation.standby)?);
    Ok(time.map(|time| Expected {
        at: time.resolve(timing),
        active,
        standby,
        equal: expectation.ledgers.is_some(),
    }))
}

impl Action {
    /// The word for it in a scenario, where whole servers on turmoil cannot do it.
    #[must_use]
    pub const fn core_only(&self) -> Option<&'static str> {
        match self {
            Self::Handover(_) => Some("handover"),
            Self::Fence(_) => Some("fence"),
            Self::Apply { .. } => Some("fuzz"),
            Self::Pause(_) => Some("pause"),
            Self::Resume(_) => Some("resume"),
            Self::Suspend { .. } => Some("suspend"),
            Self::Share { mishap: Mishap::Loss, .. } => Some("loss"),
            Self::Share { mishap: Mishap::Duplicate, .. } => Some("duplicate"),
            Self::Share { mishap: Mishap::Reorder, .. } => Some("reorder"),
            Self::Clog(..) => Some("clog"),
            Self::Stall { stalled: true, .. } => Some("stall"),
            Self::Stall { stalled: false, .. } => Some("unstall"),
            Self::ClockRate { .. } => Some("clockRate"),
            Self::ClockJump { .. } => Some("clockJump"),
            _ => None,
        }
    }
}

impl Plan {
    /// The first thing in it that whole servers on turmoil cannot do, by its word in a scenario.
    #[must_use]
    pub fn needs_core(&self) -> Option<&'static str> {
        let wild = self.is_wild.then_some("fuzz");
        wild.or_else(|| self.actions.iter().find_map(|(_, action)| action.core_only()))
    }
}

impl Scenario {
    /// What is to be done with this manifest.
    ///
    /// # Errors
    /// The scenario names a server or a product that the manifest does not have, or takes longer than it says or may.
    pub fn plan(&self, manifest: &Manifest) -> Result<Plan, ScenarioError> {
        let timing = Timing::of(manifest);
        let mut actions = Vec::new();
        for step in &self.steps {
            if let Some(action) = action(manifest, &timing, step)? {
                actions.push((step.at.resolve(&timing), action));
            }
        }
        actions.sort_by_key(|(at, _)| *at);
        let expectations: Result<Vec<_>, _> =
            self.expect.iter().map(|entry| expected(manifest, &timing, entry)).collect();
        let mut expected: Vec<_> = expectations?.into_iter().flatten().collect();
        expected.sort_by_key(|one| one.at);
        let gap = self.expect.iter().filter_map(|entry| entry.gap.as_ref());
        let gap = gap.map(|limit| limit.0.resolve(&timing)).min();
        let lost = self.expect.iter().filter_map(|entry| entry.lost).min().map(u64::from);
        let mut promises: Vec<_> =
            self.expect.iter().filter_map(|entry| entry.always.clone()).flatten().collect();
        if promises.is_empty() {
            promises = Promise::ALL.to_vec();
        }
        promises.sort_unstable();
        promises.dedup();
        let last = actions.iter().map(|(at, _)| *at).chain(expected.iter().map(|one| one.at)).max();
        let lasts = self.lasts.as_ref().map(|time| time.resolve(&timing));
        if let (Some(lasts), Some(last)) = (lasts, last)
            && lasts < last
        {
            return Err(ScenarioError::Lasts { lasts, last });
        }
        let mended_at = lasts.or(last).unwrap_or(Span::ZERO);
        if mended_at > LONGEST {
            return Err(ScenarioError::TooLong(mended_at));
        }
        let products = match &self.clients.product {
            None => manifest.seats.iter().map(|seats| seats.product.clone()).collect(),
            Some(product) if manifest.seats.iter().any(|seats| seats.product == *product) => {
                vec![product.clone()]
            }
            Some(product) => return Err(ScenarioError::Product(product.clone())),
        };
        let clients = (!self.clients.crowded).then(|| self.clients.count.unwrap_or(CLIENTS));
        let Clients { hold, wait, borrow, .. } = self.clients.clone();
        let is_wild = false;
        Ok(Plan {
            actions,
            expected,
            gap,
            lost,
            promises,
            mended_at,
            clients,
            products,
            hold,
            wait,
            borrow,
            is_wild,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "apiVersion: tandem/v1\nkind: LicensePair\nmetadata: {name: p}\nservers:\n\
        \x20 - {name: one, role: secondary, address: 127.0.0.1, port: 4821}\n\
        \x20 - {name: two, role: primary, address: 127.0.0.1, port: 4820}\n\
        redundancy: {failoverAfter: 2s}\nseats: [{product: designer, assign: [{everyone: true}]}]\n";

    fn plan(text: &str) -> Result<Plan, ScenarioError> {
        let manifest: Manifest = serde_yaml::from_str(MANIFEST).expect("a manifest");
        Scenario::parse(text).expect("a scenario").plan(&manifest)
    }

    #[test]
    fn roles_and_expressions_become_names_and_numbers() {
        let plan = plan(
            "scenario: x\nsteps:\n  - {at: 10s + failoverAfter, restart: primary}\n  - {at: 10s, crash: primary}\n\
             expect:\n  - {at: 13s, active: secondary}\n  - gap: <1s\n  - always: [capacity]\n",
        )
        .expect("a plan");
        let two = || "two".to_owned();
        assert_eq!(
            plan.actions,
            [
                (Span::from_secs(10), Action::Crash(two())),
                (Span::from_secs(12), Action::Restart { server: two(), empty: false }),
            ]
        );
        assert_eq!(plan.expected[0].active.as_deref(), Some("one"));
        assert_eq!((plan.gap, plan.mended_at), (Some(Span::from_secs(1)), Span::from_secs(13)));
        assert_eq!(plan.promises, [Promise::Capacity]);
    }

    #[test]
    fn names_that_the_manifest_does_not_have_are_errors() {
        let crash = "scenario: x\nsteps:\n  - {at: 1s, crash: lic-a}\n";
        assert_eq!(plan(crash), Err(ScenarioError::Server("lic-a".into())));
        let cut = "scenario: x\nsteps:\n  - {at: 1s, cut: [one, printer]}\n";
        assert_eq!(plan(cut), Err(ScenarioError::Party("printer".into())));
        let product = ProductName::new("solver").expect("a name");
        let clients = "scenario: x\nclients: {product: solver}\n";
        assert_eq!(plan(clients), Err(ScenarioError::Product(product)));
    }

    #[test]
    fn without_a_choice_every_promise_is_judged() {
        assert_eq!(plan("scenario: x\n").expect("a plan").promises, Promise::ALL);
    }
}
