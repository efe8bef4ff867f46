//! The report on a pull request: workflow commands, one a failure.

use std::fmt::Write as _;

use super::{Campaign, seconds};
use crate::run::World;

/// Every failure as an `error` command, and a `notice` with the numbers of each scenario.
#[must_use]
pub fn github(campaigns: &[Campaign]) -> String {
    let mut text = String::new();
    for campaign in campaigns {
        for failure in campaign.failures() {
            let title =
                format!("{}: {} (seed {})", campaign.scenario, failure.oracle, failure.seed);
            let replay = campaign.replay(&failure);
            let message = format!("at {}: {}\nreplay: {replay}", seconds(failure.at), failure.what);
            let _ = writeln!(text, "::error title={}::{}", property(&title), data(&message));
        }
        let (worst, seed) = campaign.worst_gap();
        let (lost, _) = campaign.most_lost();
        let message = format!(
            "{} of {} seeds are well ({} of them whole servers on turmoil); without a seat at worst {} (seed \
             {seed}), in the median {}; seats lost: {lost}",
            campaign.passed(),
            campaign.seeds(),
            campaign.seeds_in(World::Turmoil),
            seconds(worst),
            seconds(campaign.median_gap())
        );
        let _ =
            writeln!(text, "::notice title={}::{}", property(&campaign.scenario), data(&message));
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn commands_are_one_line_each_and_escaped() {
        insta::assert_snapshot!(github(&[sample::broken()]), @"
        ::error title=failover%3A capacity (seed 1)::at 41.2s: 21 seats of `designer` are held and `lic-b` granted the last one with a capacity of 20%0Areplay: tandem-sim run failover --seed 1 --world core
        ::error title=failover%3A expect (seed 2)::at 35.0s: `lic-b` is standby, not active%0Areplay: tandem-sim run failover --seed 2 --world core
        ::notice title=failover::1 of 3 seeds are well (1 of them whole servers on turmoil); without a seat at worst 4.1s (seed 1), in the median 40ms; seats lost: 1
        ");
    }
}
