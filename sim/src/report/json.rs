//! The report for programs: one document.

use serde_json::{Value, json};

use super::{Campaign, verdict};
use crate::run::World;

/// The version of this document's form.
const SCHEMA: u32 = 1;

/// The report of one scenario, or of several under `scenarios`.
#[must_use]
pub fn json(campaigns: &[Campaign]) -> Value {
    match campaigns {
        [one] => {
            let mut value = campaign(one);
            if let Some(object) = value.as_object_mut() {
                object.insert("schema".to_owned(), json!(SCHEMA));
            }
            value
        }
        several => json!({
            "schema": SCHEMA,
            "verdict": verdict(several).as_str(),
            "scenarios": several.iter().map(campaign).collect::<Vec<_>>(),
        }),
    }
}

/// Where most of it was run: everything in the core world, where that is so.
fn world(campaign: &Campaign) -> &'static str {
    if campaign.seeds_in(World::Core) > 0 { "core" } else { "turmoil" }
}

fn campaign(campaign: &Campaign) -> Value {
    let failed: Vec<Value> = campaign
        .failures()
        .iter()
        .map(|one| {
            json!({
                "seed": one.seed,
                "world": one.world.as_str(),
                "oracle": one.oracle,
                "at": one.at,
                "what": one.what,
                "replay": campaign.replay(one),
            })
        })
        .collect();
    let traces: Vec<Value> = campaign
        .runs
        .iter()
        .map(|run| json!({"seed": run.seed, "world": run.world.as_str(), "hash": run.trace}))
        .collect();
    let (worst, seed) = campaign.worst_gap();
    let (lost, lost_seed) = campaign.most_lost();
    let simulated: u64 = campaign.runs.iter().map(|run| run.simulated_ms).sum();
    json!({
        "scenario": campaign.scenario,
        "subject": campaign.subject,
        "bundle": campaign.bundle,
        "world": world(campaign),
        "worlds": {
            "core": campaign.seeds_in(World::Core),
            "turmoil": campaign.seeds_in(World::Turmoil),
        },
        "notes": campaign.notes,
        "verdict": campaign.verdict().as_str(),
        "seeds": campaign.seeds(),
        "passed": campaign.passed(),
        "failed": failed,
        "promises": campaign.promises,
        "gap": {"medianMs": campaign.median_gap(), "worstMs": worst, "seed": seed},
        "lost": {"clients": lost, "seed": lost_seed},
        "simulatedMs": simulated,
        "traceHash": campaign.trace_hash(),
        "traces": traces,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn one_scenario_is_one_object() {
        let value = json(&[sample::broken()]);
        assert_eq!(value["schema"], 1);
        assert_eq!(value["seeds"], 3);
        assert_eq!(value["passed"], 1);
        assert_eq!(value["gap"], json!({"medianMs": 40, "worstMs": 4150, "seed": 1}));
        assert_eq!(value["failed"][0]["oracle"], "capacity");
        assert_eq!(value["failed"][0]["replay"], "tandem-sim run failover --seed 1 --world core");
        assert_eq!(value["traces"][2], json!({"seed": 2, "world": "core", "hash": "sha256:2"}));
    }

    #[test]
    fn several_stand_side_by_side() {
        let value = json(&[sample::well(), sample::broken()]);
        assert_eq!(value["verdict"], "violated");
        assert_eq!(value["scenarios"].as_array().map(Vec::len), Some(2));
    }
}
