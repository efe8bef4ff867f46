//! What plans say, by examples that read like edits, and the laws that hold for all of them.

use std::net::IpAddr;

use proptest::prelude::*;

use super::render::{MARKDOWN_BYTES_MAX, human, markdown};
use super::*;
use crate::bundle::fixture::{self, MANIFEST};
use crate::license::License;
use crate::manifest::types::Manifest;
use crate::measure::Seats;
use crate::name::{LicenseId, UserName};

fn wall() -> Timestamp {
    "2026-06-01T10:00:00Z".parse().expect("a valid time")
}

fn server(name: &str) -> ServerName {
    ServerName::new(name).expect("a valid name")
}

fn running(bundle: &Bundle, generation: u64, serves: bool) -> Running {
    Running {
        generation: Generation(generation),
        bundle: Some(bundle.hash()),
        config: Some(bundle.clone()),
        applied: Some(Applied { operator: "ana".to_owned(), at: wall() }),
        serves,
    }
}

/// A pair that runs a bundle as generation 7, its primary serving, with these leases.
fn observed(bundle: &Bundle, leases: &[HeldLease]) -> Observed {
    let seen =
        |name: &str, serves| Seen { server: server(name), running: Ok(running(bundle, 7, serves)) };
    Observed {
        servers: vec![seen("lic-a", true), seen("lic-b", false)],
        against: None,
        leases: Some(leases.to_vec()),
    }
}

fn lease(id: &str, user: &str, host: &str) -> HeldLease {
    HeldLease {
        id: id.parse().expect("a valid id"),
        product: "designer".parse().expect("a valid name"),
        user: user.parse().expect("a valid name"),
        host: host.parse().expect("a valid name"),
        address: Some(IpAddr::from([10, 1, 0, 7])),
        seats: Seats(1),
        assignment: 0,
        is_borrowed: false,
    }
}

fn config(bundle: &Bundle) -> Config {
    Config::compile(bundle).expect("a config")
}

fn options() -> Options {
    Options { manifest: Some("tandem.yaml".to_owned()), redact: false, wall: wall() }
}

fn make(from: &Bundle, to: &Bundle, leases: &[HeldLease]) -> Plan {
    Plan::make(&config(to), &observed(from, leases), &options())
}

/// The plan of an edit of the fixture's manifest, for people, without its lines about servers.
fn edited(from: &str, to: &str) -> String {
    let text = MANIFEST.replace(from, to);
    assert_ne!(text, MANIFEST, "{from} is there");
    changes(&fixture::bundle(MANIFEST), &fixture::bundle(&text))
}

fn changes(from: &Bundle, to: &Bundle) -> String {
    let text = human(&make(from, to, &[]));
    let servers = text.find("\n  at each server\n").expect("servers");
    let after = text[servers..].find("\n\n").map_or("", |end| &text[servers + end + 1..]);
    after.to_owned()
}

#[test]
fn one_bundle_has_no_changes() {
    let bundle = fixture::bundle(MANIFEST);
    let plan = make(&bundle, &bundle, &[]);
    assert!(!plan.has_changes());
    insta::assert_snapshot!(human(&plan), @r"
    plan for the pair `studio-west`: no changes

      at each server
        = lic-a runs it, as generation 7
        = lic-b runs it, as generation 7
    ");
}

#[test]
fn reordered_lists_are_no_changes() {
    let text = MANIFEST
        .replace("[ana, bo, {host: 'ws-*'}]", "[{host: 'ws-*'}, bo, ana]")
        .replace("[{name: ana}, {name: bo}]", "[{name: bo}, {name: ana}]");
    assert!(!make(&fixture::bundle(MANIFEST), &fixture::bundle(&text), &[]).has_changes());
}

#[test]
fn a_renamed_user_is_one_change() {
    let text = MANIFEST.replace("ana", "anna");
    insta::assert_snapshot!(changes(&fixture::bundle(MANIFEST), &fixture::bundle(&text)), @r"
      users
        ~ ana: is now anna

    1 user renamed
    ");
}

#[test]
fn two_users_swapped_for_two_others_are_no_renames() {
    let text = MANIFEST.replace("ana", "cy").replace("bo", "di");
    insta::assert_snapshot!(changes(&fixture::bundle(MANIFEST), &fixture::bundle(&text)), @r"
      users
        - ana
        - bo
        + cy
        + di

      members
        - ana: hardware
        - bo: hardware
        + cy: hardware
        + di: hardware

    2 users added, 2 users removed, 2 members added, 2 members removed
    ");
}

#[test]
fn a_moved_member_is_one_change() {
    let two = "groups: [{name: campus, members: [cy]}, {name: hardware, members: [ana, bo]}]";
    let base =
        MANIFEST.replace("groups: [{name: hardware, members: [ana, bo, {host: 'ws-*'}]}]", two);
    let moved = base.replace("members: [cy]", "members: [bo, cy]").replace("[ana, bo]", "[ana]");
    insta::assert_snapshot!(changes(&fixture::bundle(&base), &fixture::bundle(&moved)), @r"
      members
        ~ bo: hardware -> campus

    1 member moved
    ");
}

#[test]
fn edits_of_seats_are_shown_entry_by_entry() {
    insta::assert_snapshot!(edited("reserve: 2}", "reserve: 2, max: 8, maxPerUser: 2, priority: 10}"), @r"
      assignments
        ~ designer: group hardware: reserve 2 -> reserve 2, max 8, max per user 2, priority 10

    1 assignment changed
    ");
    insta::assert_snapshot!(edited(
        "[{group: hardware, reserve: 2}, {everyone: true}]",
        "[{everyone: true}, {group: hardware, reserve: 2}]"
    ), @r"
      assignments
        ~ designer: order: group hardware, everyone -> everyone, group hardware

    1 assignment moved
    ");
    insta::assert_snapshot!(edited("'guest-*'", "'temp-*'"), @r"
      denials
        - designer: user guest-*: denied
        + designer: user temp-*: denied

    1 denial added, 1 denial removed
    ");
    insta::assert_snapshot!(edited("product: viewer, ttl: 1h", "product: author, ttl: 2h"), @r"
      products
        + author: everyone (no limits)
        - viewer: everyone (no limits)

    1 product added, 1 product removed
    ");
    insta::assert_snapshot!(edited("ttl: 1h", "ttl: 2h"), @r"
      products
        ~ viewer: ttl 1h -> ttl 2h

    1 product changed
    ");
}

#[test]
fn edits_of_settings_servers_and_keys_are_shown_without_the_keys() {
    insta::assert_snapshot!(edited("redundancy: {}", "redundancy: {heartbeat: 1s, failoverAfter: 6s}"), @r"
      settings
        ~ redundancy.failoverAfter: 3s -> 6s
        ~ redundancy.heartbeat: 500ms -> 1s

    2 settings changed
    ");
    insta::assert_snapshot!(edited("port: 4821}", "port: 4831, key: 'VENDOR'}"), @r"
      servers
        ~ lic-b: secondary, port 4821 at 127.0.0.1, key not pinned -> secondary, port 4831 at 127.0.0.1, key SHA256:fe85JkIjo8VPe+XqXJGH5Mau1EMFdK1OdKvJUFicyA8

    1 server changed
    ");
    let key =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs ana";
    let to = format!("trust: {{operators: ['{key}'], vendors: ['VENDOR']}}");
    let shown = edited("trust: {vendors: ['VENDOR']}", &to);
    insta::assert_snapshot!(shown, @r"
      operators
        + SHA256:z/fSv0Z0RZS+Lccbc6ZoOWwt/fbj1VFJGSBKQbo4icE ana: may sign

    1 operator added
    ");
    assert!(!shown.contains("AAAAC3"));
    let shown = edited("{name: bo}", &format!("{{name: bo, key: '{key}'}}"));
    insta::assert_snapshot!(shown, @r"
      users
        ~ bo: no key -> key SHA256:z/fSv0Z0RZS+Lccbc6ZoOWwt/fbj1VFJGSBKQbo4icE ana

    1 user changed
    ");
}

#[test]
fn licenses_are_shown_by_what_they_say_and_never_by_their_bytes() {
    let manifest = fixture::manifest(MANIFEST);
    let files = fixture::license_files();
    let renewed = License {
        seats: Seats(12),
        expires: Some("2027-01-01T00:00:00Z".parse().expect("a valid time")),
        ..fixture::license(Role::Primary)
    };
    let more = License {
        id: LicenseId::new("L-2").expect("a valid id"),
        ..fixture::license(Role::Secondary)
    };
    let mut after = files.clone();
    after[0].2 = fixture::issue(&renewed);
    after.push((server("lic-b"), "more.alf".to_owned(), fixture::issue(&more)));
    let [from, to] = [files, after].map(|files| Bundle::build(&manifest, files).expect("a bundle"));
    let shown = changes(&from, &to);
    insta::assert_snapshot!(shown, @r"
      licenses
        ~ L-1 (primary): 10 seats of designer from 2026-01-01, in licenses/designer.primary.alf -> 12 seats of designer from 2026-01-01 until 2027-01-01, in licenses/designer.primary.alf
        + L-2 (secondary): 8 seats of designer from 2026-01-01, in more.alf

    1 license added, 1 license changed
    ");
    assert!(!serde_json::to_string(&make(&from, &to, &[])).expect("JSON").contains("BEGIN"));
}

#[test]
fn who_loses_a_seat_is_on_top() {
    let text = MANIFEST
        .replace(
            "assign: [{group: hardware, reserve: 2}, {everyone: true}]",
            "assign: [{group: hardware}]",
        )
        .replace("[ana, bo, {host: 'ws-*'}]", "[ana]");
    let (from, to) = (fixture::bundle(MANIFEST), fixture::bundle(&text));
    let leases = [lease("1", "ana", "ws-1"), lease("2", "bo", "ws-2"), lease("3", "eve", "x")];
    let plan = make(&from, &to, &leases);
    insta::assert_snapshot!(human(&plan), @r"
    plan for the pair `studio-west`: 2 members removed, 1 assignment removed, 1 assignment changed; 2 leases end

      ! 2 of 3 leases end at the next renewal
        - bo on ws-2 loses 1 seat of designer: no assignment matches its holder any more
        - eve on x loses 1 seat of designer: no assignment matches its holder any more

      at each server
        ~ lic-a runs generation 7, applied by ana at 2026-06-01T10:00:00.000Z
        ~ lic-b runs generation 7, applied by ana at 2026-06-01T10:00:00.000Z

      members
        - bo: hardware
        - host ws-*: hardware

      assignments
        - designer: everyone: no limits
        ~ designer: group hardware: reserve 2 -> no limits

    2 members removed, 1 assignment removed, 1 assignment changed; 2 leases end
    ");
    insta::assert_snapshot!(markdown(&plan), @r#"
    ### Tandem plan for studio-west

    **2 members removed, 1 assignment removed, 1 assignment changed; 2 leases end**

    #### 2 of 3 leases end at the next renewal

    | Who | Seats | Why |
    | --- | --- | --- |
    | bo on ws-2 | 1 of designer | no assignment matches its holder any more |
    | eve on x | 1 of designer | no assignment matches its holder any more |

    #### At each server

    - lic-a runs generation 7, applied by ana at 2026-06-01T10:00:00.000Z
    - lic-b runs generation 7, applied by ana at 2026-06-01T10:00:00.000Z

    #### Members

    | Member |  | Change |
    | --- | --- | --- |
    | bo | removed | hardware |
    | host ws-\* | removed | hardware |

    #### Assignments

    | Assignment |  | Change |
    | --- | --- | --- |
    | designer: everyone | removed | no limits |
    | designer: group hardware | changed | reserve 2 -&gt; no limits |

    **2 members removed, 1 assignment removed, 1 assignment changed; 2 leases end**
    "#);
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan).expect("JSON"), @r#"
    {
      "schema": 1,
      "pair": "studio-west",
      "manifest": "tandem.yaml",
      "bundle": "sha256:ad068354918fcc6cf4208fd0aeff7205d4139a30e4f80f7be700c50c3ab28d2e",
      "base": {
        "lic-a": 7,
        "lic-b": 7
      },
      "servers": [
        {
          "server": "lic-a",
          "action": "replace",
          "runs": "sha256:17a013bde706afec5db1ee2724c2f7d0d643e72d5771faadb5dcfb8455c9a20f",
          "applied": {
            "operator": "ana",
            "at": "2026-06-01T10:00:00.000Z"
          }
        },
        {
          "server": "lic-b",
          "action": "replace",
          "runs": "sha256:17a013bde706afec5db1ee2724c2f7d0d643e72d5771faadb5dcfb8455c9a20f",
          "applied": {
            "operator": "ana",
            "at": "2026-06-01T10:00:00.000Z"
          }
        }
      ],
      "against": "lic-a",
      "comparable": true,
      "changes": [
        {
          "kind": "member",
          "name": "bo",
          "action": "remove",
          "from": "hardware"
        },
        {
          "kind": "member",
          "name": "host ws-*",
          "action": "remove",
          "from": "hardware"
        },
        {
          "kind": "assignment",
          "name": "designer: everyone",
          "action": "remove",
          "from": "no limits"
        },
        {
          "kind": "assignment",
          "name": "designer: group hardware",
          "action": "change",
          "from": "reserve 2",
          "to": "no limits"
        }
      ],
      "impact": {
        "leasesSeen": true,
        "revoked": [
          {
            "lease": "2",
            "product": "designer",
            "user": "bo",
            "host": "ws-2",
            "seats": 1,
            "reason": "no assignment matches its holder any more"
          },
          {
            "lease": "3",
            "product": "designer",
            "user": "eve",
            "host": "x",
            "seats": 1,
            "reason": "no assignment matches its holder any more"
          }
        ],
        "draining": [],
        "counts": {
          "revoked": {
            "count": 2,
            "total": 3
          },
          "users": {
            "count": 0,
            "total": 2
          },
          "groups": {
            "count": 0,
            "total": 1
          },
          "products": {
            "count": 0,
            "total": 2
          },
          "seats": {
            "count": 0,
            "total": 18
          }
        }
      },
      "exceeds": []
    }
    "#);
    let text = serde_json::to_vec(&plan).expect("JSON");
    assert_eq!(Plan::read(&text), Ok(plan));
}

#[test]
fn a_lease_that_nothing_matched_before_is_not_the_change_s_doing() {
    let only = MANIFEST.replace("{everyone: true}]\n    deny", "{user: ana}]\n    deny");
    assert_ne!(only, MANIFEST);
    let to = fixture::bundle(&only.replace("ttl: 5m", "ttl: 6m"));
    let leases = [lease("1", "eve", "x"), lease("2", "guest-1", "ws-1")];
    let plan = make(&fixture::bundle(&only), &to, &leases);
    assert_eq!(plan.impact.revoked, []);
    let plan = make(&fixture::bundle(MANIFEST), &to, &leases);
    assert_eq!(plan.impact.revoked.len(), 1);
}

#[test]
fn a_lowered_capacity_takes_nobody_s_seat() {
    let manifest = fixture::manifest(MANIFEST);
    let mut files = fixture::license_files();
    let small = License { seats: Seats(1), ..fixture::license(Role::Primary) };
    files[0].2 = fixture::issue(&small);
    let to = Bundle::build(&manifest, files).expect("a bundle");
    let leases = [lease("1", "ana", "ws-1"), lease("2", "bo", "ws-2")];
    let plan = make(&fixture::bundle(MANIFEST), &to, &leases);
    assert_eq!(plan.impact.revoked, []);
    assert_eq!(
        plan.impact.draining,
        [Draining {
            product: "designer".parse().expect("a valid name"),
            held: Seats(2),
            capacity: Seats(1)
        }]
    );
    assert_eq!(plan.impact.counts.seats, Count { count: 9, total: 18 });
}

#[test]
fn names_are_left_out_when_redacted_and_stay_told_apart() {
    let to = fixture::bundle(
        &MANIFEST.replace("ana", "anna").replace("[{user: 'guest-*'}]", "[{user: bo}]"),
    );
    let observed = observed(&fixture::bundle(MANIFEST), &[lease("1", "bo", "ws-2")]);
    let options = Options { redact: true, ..options() };
    let plan = Plan::make(&config(&to), &observed, &options);
    let text = human(&plan);
    insta::assert_snapshot!(text, @r"
    plan for the pair `studio-west`: 1 user renamed, 1 denial added, 1 denial removed; 1 lease ends

      ! 1 of 1 leases ends at the next renewal
        - user-3 on host-1 loses 1 seat of designer: a `deny` entry matches its holder now

      at each server
        ~ lic-a runs generation 7, applied by operator-1 at 2026-06-01T10:00:00.000Z
        ~ lic-b runs generation 7, applied by operator-1 at 2026-06-01T10:00:00.000Z

      users
        ~ user-1: is now user-2

      denials
        + designer: user user-3: denied
        - designer: user users-1: denied

    1 user renamed, 1 denial added, 1 denial removed; 1 lease ends
    ");
    for name in ["ana", "anna", " bo", "ws-", "guest"] {
        assert!(!text.contains(name), "{name} is left out");
    }
}

#[test]
fn a_first_bundle_and_a_silent_server_are_said() {
    let bundle = fixture::bundle(MANIFEST);
    let observed = Observed {
        servers: vec![
            Seen { server: server("lic-a"), running: Ok(Running::default()) },
            Seen { server: server("lic-b"), running: Err("connection refused".to_owned()) },
        ],
        ..Observed::default()
    };
    let plan = Plan::make(&config(&bundle), &observed, &options());
    assert!(plan.has_changes() && plan.comparable);
    assert_eq!(plan.base, [(server("lic-a"), Generation(0))].into());
    insta::assert_snapshot!(human(&plan), @r"
    plan for the pair `studio-west`: 2 servers added, 2 licenses added, 1 vendor added, 2 users added, 1 group added, 2 products added

      at each server
        + lic-a gets its first bundle
        ! lic-b did not answer: connection refused

      servers
        + lic-a: primary, port 4820 at 127.0.0.1, key not pinned
        + lic-b: secondary, port 4821 at 127.0.0.1, key not pinned

      licenses
        + L-1 (primary): 10 seats of designer from 2026-01-01, in licenses/designer.primary.alf
        + L-1 (secondary): 8 seats of designer from 2026-01-01, in licenses/designer.secondary.alf

      vendors
        + SHA256:fe85JkIjo8VPe+XqXJGH5Mau1EMFdK1OdKvJUFicyA8: trusted

      users
        + ana
        + bo

      groups
        + hardware: ana, bo, host ws-*

      products
        + designer: group hardware (reserve 2), everyone (no limits)
        + viewer: everyone (no limits)

    2 servers added, 2 licenses added, 1 vendor added, 2 users added, 1 group added, 2 products added
    ");
}

#[test]
fn what_could_not_be_read_is_not_called_the_same() {
    let (from, to) =
        (fixture::bundle(MANIFEST), fixture::bundle(&MANIFEST.replace("ttl: 5m", "ttl: 6m")));
    let mut observed = observed(&from, &[]);
    observed.leases = None;
    for seen in &mut observed.servers {
        if let Ok(running) = &mut seen.running {
            running.config = None;
        }
    }
    let plan = Plan::make(&config(&to), &observed, &options());
    assert!(plan.has_changes() && !plan.comparable);
    insta::assert_snapshot!(human(&plan), @r"
    plan for the pair `studio-west`: what runs could not be read, so the changes are not known

      ! the live leases could not be seen: it is not known who loses a seat

      at each server
        ~ lic-a runs generation 7, applied by ana at 2026-06-01T10:00:00.000Z
        ~ lic-b runs generation 7, applied by ana at 2026-06-01T10:00:00.000Z
    ");
}

#[test]
fn a_server_that_is_behind_is_a_change() {
    let (old, new) =
        (fixture::bundle(MANIFEST), fixture::bundle(&MANIFEST.replace("ttl: 5m", "ttl: 6m")));
    let mut observed = observed(&new, &[]);
    observed.servers[1].running = Ok(running(&old, 6, false));
    let plan = Plan::make(&config(&new), &observed, &options());
    assert_eq!(plan.against.as_deref(), Some("lic-b"));
    assert!(plan.has_changes());
    assert_eq!(plan.changes.len(), 1);
}

#[test]
fn against_compares_with_no_server() {
    let (from, to) =
        (fixture::bundle(MANIFEST), fixture::bundle(&MANIFEST.replace("ttl: 5m", "ttl: 6m")));
    let against = Some(Against { label: "main".to_owned(), bundle: from.clone() });
    let observed = Observed { against, ..Observed::default() };
    insta::assert_snapshot!(human(&Plan::make(&config(&to), &observed, &options())), @r"
    plan for the pair `studio-west`: 1 setting changed
    compared with `main`

      settings
        ~ leases.ttl: 5m -> 6m

    1 setting changed
    ");
    assert!(!Plan::make(&config(&from), &observed, &options()).has_changes());
}

/// A manifest with users u0..uN, all members of `hardware`.
fn crowd(users: usize) -> Manifest {
    let mut manifest = fixture::manifest(MANIFEST);
    let name = |n: usize| UserName::new(&format!("u{n}")).expect("a valid name");
    manifest
        .users
        .extend((0..users).map(|n| crate::manifest::types::User { name: name(n), key: None }));
    manifest.groups[0]
        .members
        .extend((0..users).map(|n| crate::manifest::types::Member::User(name(n))));
    manifest
}

#[test]
fn markdown_stays_below_its_limit_with_the_rest_counted() {
    let mut from = crowd(0);
    // `*` and `?` are for patterns.
    let evil = "<@x|`[!".repeat(30);
    from.users.extend((0..2000).map(|n| crate::manifest::types::User {
        name: UserName::new(&format!("{evil}{n}")).expect("a valid name"),
        key: None,
    }));
    let build =
        |manifest: &Manifest| Bundle::build(manifest, fixture::license_files()).expect("a bundle");
    let leases: Vec<HeldLease> =
        (0..3000).map(|n| lease(&format!("l-{n}"), &format!("eve{n}@#://www."), "x")).collect();
    let to = fixture::manifest(
        &MANIFEST.replace("{everyone: true}]\n    deny", "{user: ana}]\n    deny"),
    );
    let text = markdown(&make(&build(&from), &build(&to), &leases));
    assert!(text.len() <= MARKDOWN_BYTES_MAX, "{}", text.len());
    assert!(text.contains(" more\n") && text.ends_with("; 3000 leases end**\n"));
    assert!(!text.contains("@x") && !text.contains("://") && !text.contains("<@"));
}

#[test]
fn foreign_text_cannot_start_a_line_or_move_the_cursor() {
    let mut to = fixture::manifest(MANIFEST);
    to.users.push(crate::manifest::types::User {
        name: UserName::new("\u{202e}eve\u{2028}::error::").expect("a valid name"),
        key: None,
    });
    let to = Bundle::build(&to, fixture::license_files()).expect("a bundle");
    let text = human(&make(&fixture::bundle(MANIFEST), &to, &[]));
    assert!(text.contains("    + \\u{202e}eve\\u{2028}::error::\n"), "{text}");
}

#[test]
fn a_change_over_the_limits_of_the_running_manifest_is_large() {
    let build =
        |manifest: &Manifest| Bundle::build(manifest, fixture::license_files()).expect("a bundle");
    let check = |kept: usize, limits: &str| {
        let mut from = crowd(18);
        from.safety = serde_yaml::from_str(limits).expect("limits");
        let plan = make(&build(&from), &build(&crowd(kept)), &[]);
        guard::judge(&from, &plan.impact)
    };
    // 6 of 20 are above the floor, not above the share.
    assert_eq!(check(12, "{}"), Ok(()));
    // 5 of 20 are above the share, not above the floor.
    assert_eq!(check(13, "{maxRemoved: {share: 10%}}"), Ok(()));
    let large = check(11, "{}").expect_err("a large change");
    insta::assert_snapshot!(large, @"the change removes 7 of 20 users, more than 33% and more than 5: look at its plan, then `tandem apply --allow-large-change` if it is meant");
    assert!(check(12, "{maxRemoved: {share: 10%}}").is_err());
    // What the new manifest says about limits does not count.
    let mut to = crowd(0);
    to.safety = serde_yaml::from_str("{maxRemoved: {share: 100%}}").expect("limits");
    let plan = make(&build(&crowd(18)), &build(&to), &[]);
    assert_eq!(plan.exceeds.len(), 1);
}

#[test]
fn a_saved_plan_holds_until_a_generation_or_the_impact_changes() {
    let (from, to) = (
        fixture::bundle(MANIFEST),
        fixture::bundle(&MANIFEST.replace("{everyone: true}]\n    deny", "{user: ana}]\n    deny")),
    );
    let one = [lease("1", "eve", "x")];
    let saved = make(&from, &to, &one);
    assert_eq!(saved.still_holds(&make(&from, &to, &one)), Ok(()));
    assert_eq!(saved.still_holds(&make(&from, &to, &[])), Ok(()));
    let worse = make(&from, &to, &[lease("1", "eve", "x"), lease("2", "eve", "y")]);
    insta::assert_snapshot!(saved.still_holds(&worse).expect_err("stale"), @"plan is stale: it would end more leases than it says (2, not 1)");
    let mut later = observed(&from, &one);
    later.servers[0].running = Ok(running(&from, 8, true));
    let later = Plan::make(&config(&to), &later, &options());
    insta::assert_snapshot!(saved.still_holds(&later).expect_err("stale"), @"plan is stale: generation 8 was applied by ana at 2026-06-01T10:00:00.000Z");
    let other = fixture::bundle(&MANIFEST.replace("ttl: 5m", "ttl: 6m"));
    assert!(matches!(saved.still_holds(&make(&from, &other, &one)), Err(Stale::OtherFiles { .. })));
}

#[test]
fn what_is_no_plan_is_refused() {
    assert_eq!(Plan::read(b"{}"), Err(PlanError::NotAPlan));
    assert_eq!(Plan::read(b"{\"schema\":2}"), Err(PlanError::Version { version: 2 }));
    assert!(matches!(Plan::read(b"{\"schema\":1}"), Err(PlanError::Json(_))));
    assert!(matches!(Plan::read(b"plan"), Err(PlanError::Json(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any two manifests over a few names: the same is no change, and a plan back undoes as many as it did.
    #[test]
    fn a_plan_is_empty_exactly_when_the_manifests_are_one(
        (one, other) in (any_manifest(), any_manifest()),
    ) {
        let build = |manifest: &Manifest| {
            Bundle::build(manifest, fixture::license_files()).expect("a bundle")
        };
        let (one, other) = (build(&one), build(&other));
        let same = make(&one, &one, &[]);
        prop_assert!(!same.has_changes() && same.changes.is_empty());
        let (there, back) = (make(&one, &other, &[]), make(&other, &one, &[]));
        prop_assert_eq!(there.has_changes(), one != other);
        prop_assert_eq!(there.changes.is_empty(), one == other);
        prop_assert_eq!(there.changes.len(), back.changes.len());
        prop_assert!(markdown(&there).len() <= MARKDOWN_BYTES_MAX);
        let json = serde_json::to_vec(&there).expect("JSON");
        prop_assert_eq!(Plan::read(&json), Ok(there));
    }
}

fn any_manifest() -> impl Strategy<Value = Manifest> {
    let users = prop::sample::subsequence(vec!["ana", "bo", "cy", "di"], 0..=4);
    let members = prop::sample::subsequence(vec!["ana", "bo", "cy", "di"], 0..=4);
    let others = prop::sample::subsequence(vec!["ana", "bo", "cy", "di"], 0..=2);
    let entries =
        vec!["{user: ana}", "{group: hardware, max: 2}", "{everyone: true}", "{user: bo}"];
    let assign = prop::sample::subsequence(entries, 0..=4).prop_shuffle();
    (users, members, others, assign).prop_map(|(users, members, others, assign)| {
        // Members and entries name users that there are, as in every valid manifest.
        let is_there = |text: &&str| {
            let name = text.trim_start_matches("{user: ").trim_end_matches('}');
            text.contains("group") || text.contains("everyone") || users.contains(&name)
        };
        let list =
            |names: Vec<&str>| names.into_iter().filter(is_there).collect::<Vec<_>>().join(", ");
        let names: Vec<String> = users.iter().map(|name| format!("{{name: {name}}}")).collect();
        let text = MANIFEST
            .replace("[{name: ana}, {name: bo}]", &format!("[{}]", names.join(", ")))
            .replace(
                "[{name: hardware, members: [ana, bo, {host: 'ws-*'}]}]",
                &format!(
                    "[{{name: hardware, members: [{}]}}, {{name: x, members: [{}]}}]",
                    list(members),
                    list(others)
                ),
            )
            .replace(
                "[{group: hardware, reserve: 2}, {everyone: true}]",
                &format!("[{}]", list(assign)),
            );
        fixture::manifest(&text)
    })
}
