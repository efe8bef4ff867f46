//! What an apply does, decided from what was seen of both servers before anything is sent.
//!
//! Pure. `apply` carries a [`Decision`] out and has no branch of its own: who is staged on which base, or why nothing
//! is done at all.

use std::collections::BTreeMap;

use crate::bundle::Bundle;
use crate::manifest::types::{Manifest, Role};
use crate::measure::Generation;
use crate::name::{BundleHash, ServerName};

/// What a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// The generation of its committed bundle; 0 for none.
    pub generation: Generation,
    /// Its committed bundle.
    pub bundle: Option<BundleHash>,
}

/// What each server of the wanted pair runs; `None` for one that did not answer.
pub type Sight = BTreeMap<ServerName, Option<Running>>;

/// What an apply does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: both servers run the bundle.
    AlreadyRuns {
        /// The generation they run.
        generation: Generation,
    },
    /// Nothing: those that answer run the bundle, and the other takes it from its peer when it returns.
    PeerBrings {
        /// The generation that runs.
        generation: Generation,
        /// The server that did not answer.
        absent: Vec<ServerName>,
    },
    /// Stage on every server of `base`, then commit on each in this order.
    Apply {
        /// The servers that answered, each with the generation it runs.
        base: BTreeMap<ServerName, Generation>,
        /// The generation that the bundle gets: one more than the greatest of `base`.
        generation: Generation,
        /// The server that takes it from its peer when it returns (`--degraded`).
        absent: Vec<ServerName>,
    },
}

/// Why an apply cannot be done as things stand. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Hindrance {
    /// No server answered.
    #[error("no server of the pair can be reached")]
    Unreachable,
    /// One server did not answer, and a degraded apply was not asked for.
    #[error("`{server}` cannot be reached: an apply needs both servers")]
    Absent {
        /// The server.
        server: ServerName,
    },
    /// A change that both servers must make together.
    #[error(
        "`{server}` cannot be reached, and the change {change}: both servers must take it together"
    )]
    NotDegradable {
        /// The server that did not answer.
        server: ServerName,
        /// What the change does.
        change: NotDegradable,
    },
    /// The running bundle of the one server that answered is not known, so the change cannot be judged.
    #[error(
        "what `{server}` runs could not be read, so it is not known whether the change needs both servers"
    )]
    Unknown {
        /// The server that answered.
        server: ServerName,
    },
}

/// What a degraded apply must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDegradable {
    /// A server changes its role.
    #[error("swaps the roles of the servers")]
    Roles,
    /// Anything of `redundancy` changes.
    #[error("changes `redundancy`")]
    Redundancy,
    /// A lease lives longer than before.
    #[error("raises a ttl")]
    Ttl,
}

/// What an apply of `wanted` does, given what the servers run. `running` is the bundle of the server that answered,
/// where one did not and the other has one.
///
/// # Errors
/// It cannot be done now; see [`Hindrance`].
pub fn decide(
    wanted: &Bundle,
    sight: &Sight,
    running: Option<&Bundle>,
    degraded: bool,
) -> Result<Decision, Hindrance> {
    let answered: BTreeMap<&ServerName, &Running> =
        sight.iter().filter_map(|(name, running)| Some((name, running.as_ref()?))).collect();
    let absent: Vec<ServerName> = sight
        .iter()
        .filter(|(_, running)| running.is_none())
        .map(|(name, _)| name.clone())
        .collect();
    let newest = answered.values().map(|running| running.generation).max();
    let Some(newest) = newest else { return Err(Hindrance::Unreachable) };
    if answered.values().all(|running| running.bundle == Some(wanted.hash())) {
        return Ok(if absent.is_empty() {
            Decision::AlreadyRuns { generation: newest }
        } else {
            Decision::PeerBrings { generation: newest, absent }
        });
    }
    if let Some(server) = absent.first() {
        let server = server.clone();
        if !degraded {
            return Err(Hindrance::Absent { server });
        }
        if newest > Generation(0) {
            let Some(running) = running else {
                let answered = answered.keys().next().map(|name| (*name).clone());
                return Err(Hindrance::Unknown { server: answered.unwrap_or(server) });
            };
            if let Some(change) = not_degradable(running.manifest(), wanted.manifest()) {
                return Err(Hindrance::NotDegradable { server, change });
            }
        }
    }
    let base =
        answered.into_iter().map(|(name, running)| (name.clone(), running.generation)).collect();
    let generation = Generation(newest.0.saturating_add(1));
    Ok(Decision::Apply { base, generation, absent })
}

/// What of a change only both servers can take together.
fn not_degradable(running: &Manifest, wanted: &Manifest) -> Option<NotDegradable> {
    let role = |manifest: &Manifest, name: &ServerName| -> Option<Role> {
        manifest.servers.iter().find(|server| server.name == *name).map(|server| server.role)
    };
    let swaps = |name: &ServerName| {
        let (before, after) = (role(running, name), role(wanted, name));
        before.is_some() && after.is_some() && before != after
    };
    if running.servers.iter().any(|server| swaps(&server.name)) {
        return Some(NotDegradable::Roles);
    }
    if running.redundancy != wanted.redundancy {
        return Some(NotDegradable::Redundancy);
    }
    let raised = wanted.seats.iter().any(|seats| {
        let before = running.seats.iter().find(|other| other.product == seats.product);
        let after = seats.ttl.unwrap_or(wanted.leases.ttl);
        before.is_some_and(|before| after > before.ttl.unwrap_or(running.leases.ttl))
    });
    let base_raised = wanted.leases.ttl > running.leases.ttl;
    (raised || base_raised).then_some(NotDegradable::Ttl)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"{
        "apiVersion": "tandem/v1", "kind": "LicensePair", "metadata": {"name": "studio"},
        "servers": [
            {"name": "lic-a", "role": "primary", "address": "127.0.0.1", "port": 4820},
            {"name": "lic-b", "role": "secondary", "address": "127.0.0.1", "port": 4821}
        ],
        "seats": [{"product": "designer", "assign": [{"everyone": true}]}]
    }"#;

    fn bundle(edit: impl FnOnce(&mut Manifest)) -> Bundle {
        let mut manifest: Manifest = serde_json::from_str(MANIFEST).expect("a manifest");
        edit(&mut manifest);
        Bundle::build(&manifest, Vec::new()).expect("a bundle")
    }

    fn name(text: &str) -> ServerName {
        ServerName::new(text).expect("a valid name")
    }

    /// Both servers by what they run.
    fn sight(servers: [Option<(u64, Option<&Bundle>)>; 2]) -> Sight {
        let running = |(generation, bundle): (u64, Option<&Bundle>)| Running {
            generation: Generation(generation),
            bundle: bundle.map(Bundle::hash),
        };
        ["lic-a", "lic-b"].map(name).into_iter().zip(servers.map(|one| one.map(running))).collect()
    }

    #[test]
    fn what_both_run_is_not_applied_again() {
        let wanted = bundle(|_| {});
        let runs = Some((7, Some(&wanted)));
        assert_eq!(
            decide(&wanted, &sight([runs, runs]), None, false),
            Ok(Decision::AlreadyRuns { generation: Generation(7) })
        );
        assert_eq!(
            decide(&wanted, &sight([runs, None]), None, false),
            Ok(Decision::PeerBrings { generation: Generation(7), absent: vec![name("lic-b")] })
        );
    }

    #[test]
    fn the_generation_is_one_more_than_the_greatest_that_runs() {
        let (old, wanted) = (bundle(|manifest| manifest.seats.clear()), bundle(|_| {}));
        let (a, b) = (name("lic-a"), name("lic-b"));
        for (servers, base, generation) in [
            ([(0, None), (0, None)], [0, 0], 1),
            ([(7, Some(&old)), (6, Some(&old))], [7, 6], 8),
            // A half-committed apply: the other server is behind.
            ([(7, Some(&old)), (8, Some(&wanted))], [7, 8], 9),
        ] {
            let decision = decide(&wanted, &sight(servers.map(Some)), None, false);
            let base = [&a, &b].into_iter().cloned().zip(base.map(Generation)).collect();
            let (generation, absent) = (Generation(generation), Vec::new());
            assert_eq!(decision, Ok(Decision::Apply { base, generation, absent }));
        }
    }

    #[test]
    fn a_server_that_is_down_needs_degraded() {
        let (old, wanted) = (bundle(|manifest| manifest.seats.clear()), bundle(|_| {}));
        let seen = sight([Some((7, Some(&old))), None]);
        let server = name("lic-b");
        assert_eq!(
            decide(&wanted, &seen, Some(&old), false),
            Err(Hindrance::Absent { server: server.clone() })
        );
        assert_eq!(
            decide(&wanted, &seen, Some(&old), true),
            Ok(Decision::Apply {
                base: [(name("lic-a"), Generation(7))].into(),
                generation: Generation(8),
                absent: vec![server],
            })
        );
        assert_eq!(
            decide(&wanted, &seen, None, true),
            Err(Hindrance::Unknown { server: name("lic-a") })
        );
        assert_eq!(decide(&wanted, &sight([None, None]), None, true), Err(Hindrance::Unreachable));
    }

    #[test]
    fn a_first_bundle_can_be_applied_degraded() {
        let wanted = bundle(|_| {});
        let decision = decide(&wanted, &sight([Some((0, None)), None]), None, true);
        assert!(matches!(decision, Ok(Decision::Apply { .. })), "{decision:?}");
    }

    #[test]
    fn what_both_servers_must_take_together_is_not_applied_degraded() {
        let running = bundle(|_| {});
        let seen = sight([None, Some((7, Some(&running)))]);
        let change = |wanted: &Bundle| match decide(wanted, &seen, Some(&running), true) {
            Err(Hindrance::NotDegradable { server, change }) if server == name("lic-a") => {
                Some(change)
            }
            _ => None,
        };
        let swapped = bundle(|manifest| {
            for server in &mut manifest.servers {
                server.role = server.role.other();
            }
        });
        assert_eq!(change(&swapped), Some(NotDegradable::Roles));
        let slower = bundle(|manifest| {
            manifest.redundancy.failover_after = crate::measure::Span::from_secs(9)
        });
        assert_eq!(change(&slower), Some(NotDegradable::Redundancy));
        let longer = crate::measure::Span::from_secs(3600);
        assert_eq!(
            change(&bundle(|manifest| manifest.leases.ttl = longer)),
            Some(NotDegradable::Ttl)
        );
        let one = bundle(|manifest| {
            for seats in &mut manifest.seats {
                seats.ttl = Some(longer);
            }
        });
        assert_eq!(change(&one), Some(NotDegradable::Ttl));
        let shorter = bundle(|manifest| manifest.leases.ttl = crate::measure::Span::from_secs(60));
        assert_eq!(change(&shorter), None);
    }
}
