//! The rules through one helper: a manifest that has nothing wrong, one edit, and what is then found.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use ed25519_dalek::SigningKey;

use super::*;
use crate::license::{License, SharePart, sign};
use crate::manifest::finding::Place;
use crate::manifest::sources::MemberList;
use crate::manifest::{parse, parse_users, sources};
use crate::measure::Seats;
use crate::name::{ProductName, PublicKey, PurchaseId};
use crate::role::Role;

const NOW: &str = "2026-06-01T00:00:00Z";

/// A manifest with nothing wrong.
static GOOD: LazyLock<String> = LazyLock::new(|| {
    format!(
        r#"apiVersion: tandem/v1
kind: LicensePair
metadata: {{name: studio-west}}
servers:
  - {{name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [p.alf]}}
  - {{name: lic-b, role: secondary, address: 127.0.0.1, port: 4821, licenses: [s.alf]}}
trust:
  vendors: ["{}"]
  operators: ["{OPERATOR}"]
users: [{{name: ana}}, {{name: bo}}]
groups:
  - {{name: hardware, members: [ana, bo]}}
seats:
  - product: designer
    assign:
      - {{group: hardware, reserve: 5}}
      - {{everyone: true}}
"#,
        vendor()
    )
});

const OPERATOR: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqIWO9OrVsbP/pnYvGLplmJ5tDqA+QDYJ1w9wEGIhGc ana";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn vendor() -> PublicKey {
    PublicKey(key().verifying_key().to_bytes())
}

/// A license of ten seats of `designer`.
fn license(role: Role) -> License {
    let start = "2026-01-01T00:00:00Z".parse().expect("a time");
    License {
        id: LicenseId::new("L-1").expect("an id"),
        product: ProductName::new("designer").expect("a name"),
        seats: Seats(10),
        role,
        vendor: vendor(),
        issued: start,
        not_before: start,
        expires: None,
        server: None,
        pair: None,
        modes: None,
        standalone: None,
        max_borrow: None,
        share: SharePart::DEFAULT.to_vec(),
        entitlements: Vec::new(),
    }
}

fn file(server: &str, file: &str, text: &str) -> LicenseFile {
    let server = ServerName::new(server).expect("a name");
    LicenseFile { server, file: file.to_owned(), text: text.as_bytes().into() }
}

/// What is checked: a case begins with nothing wrong.
struct Case {
    text: String,
    licenses: Vec<LicenseFile>,
    lists: Lists,
    users: Option<&'static str>,
    members: Option<&'static str>,
    running: BTreeSet<LicenseId>,
    within: Option<&'static str>,
    signer: Option<&'static str>,
}

fn good() -> Case {
    Case {
        text: GOOD.clone(),
        licenses: vec![
            file("lic-a", "p.alf", &sign(&license(Role::Primary), &key()).armor()),
            file("lic-b", "s.alf", &sign(&license(Role::Secondary), &key()).armor()),
        ],
        lists: Lists::default(),
        users: None,
        members: None,
        running: BTreeSet::new(),
        within: None,
        signer: None,
    }
}

impl Case {
    /// Replaces a text that stands once in the manifest.
    fn with(mut self, from: &str, to: &str) -> Self {
        assert_eq!(self.text.matches(from).count(), 1, "{from} stands once");
        self.text = self.text.replace(from, to);
        self
    }

    /// Gives both servers licenses that differ from the usual ones.
    fn licensed(mut self, edit: impl Fn(License) -> License) -> Self {
        let licenses = [("lic-a", "p.alf", Role::Primary), ("lic-b", "s.alf", Role::Secondary)];
        let make =
            |(server, name, role)| file(server, name, &sign(&edit(license(role)), &key()).armor());
        self.licenses = licenses.into_iter().map(make).collect();
        self
    }

    /// Gives a server one more license.
    fn and(mut self, server: &str, license: &License) -> Self {
        let name = format!("{}.alf", self.licenses.len());
        let text = sign(license, &key()).armor();
        let role = if server == "lic-a" { "p.alf" } else { "s.alf" };
        self.licenses.push(file(server, &name, &text));
        self.with(&format!("[{role}"), &format!("[{role}, {name}"))
    }

    /// What is found, a line each, errors and warnings: the place and the code, the message, the help.
    fn found(mut self) -> String {
        let (parsed, mut shape) = parse("t.yaml", self.text.as_bytes());
        let parsed = parsed.expect("a manifest");
        let mut manifest = parsed.manifest.clone();
        if let Some(text) = self.users {
            let (read, findings) = parse_users("users.yaml", text.as_bytes());
            shape.extend(findings);
            let first = manifest.users.len();
            let (users, places) = read.expect("a list");
            manifest.users.extend(users);
            let file = "users.yaml".to_owned();
            self.lists.users = Some(sources::UserList { file, first, places: Some(places) });
        }
        if let Some(text) = self.members {
            let group = manifest.groups.first_mut().expect("a group");
            let list = MemberList::read("list.txt".to_owned(), 0, text, &mut group.members);
            self.lists.members.push(list);
        }
        let written = Written {
            manifest: Some(&manifest),
            licenses: &self.licenses,
            file: "t.yaml",
            places: Some(&parsed.places),
            lists: &self.lists,
            problems: &[],
            unread: None,
            secrets: &[],
            schema: None,
            unasked: None,
        };
        let circumstances = Circumstances {
            now: NOW.parse().expect("a time"),
            running: Running::Licenses(&self.running),
            expiring_within: self.within.map(|within| within.parse().expect("a duration")),
            signer: self.signer,
        };
        let checked = check(&written, &circumstances, shape);
        // A server judges the same values, and finds the same of what it can see.
        let at_server = check_values(&manifest, &self.licenses, &circumstances);
        assert_eq!(checked.licenses, at_server.licenses);
        let codes = |findings: &[Finding]| -> BTreeSet<_> {
            findings.iter().map(|finding| (finding.code.id, finding.severity)).collect()
        };
        assert!(codes(&at_server.findings).is_subset(&codes(&checked.findings)));
        checked.findings.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn line(finding: &Finding) -> String {
    let at = finding
        .place
        .map_or_else(String::new, |Place { line, column, .. }| format!(":{line}:{column}"));
    let severity = if finding.severity == Severity::Error { "" } else { " (warning)" };
    format!(
        "{}{at} {}{severity}\n  {}\n  {}",
        finding.file, finding.code, finding.message, finding.help
    )
}

fn days(days: u64) -> Option<Timestamp> {
    Some(NOW.parse::<Timestamp>().expect("a time") + Span::from_secs(days * 24 * 3600))
}

#[test]
fn a_good_manifest_has_no_findings() {
    assert_eq!(good().found(), "");
}

#[test]
fn a_pair_has_one_primary_and_one_secondary() {
    insta::assert_snapshot!(good().with("lic-b, role: secondary", "lic-b, role: primary").found(), @r"
    t.yaml:6:25 E0101 server-roles
      `lic-b` is one more primary: a pair has one primary and one secondary
      make one of the two `role: secondary`
    ");
    let text =
        "  - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821, licenses: [s.alf]}\n";
    insta::assert_snapshot!(good().with(text, "").found(), @r"
    t.yaml:5:3 E0101 server-roles
      no server is the secondary: a pair has one primary and one secondary
      add the server with `role: secondary`
    ");
}

#[test]
fn servers_differ_in_name_key_and_port() {
    let key = format!("port: 4820, key: \"{}\"", vendor());
    let keyed = format!("port: 4821, key: \"{}\"", vendor());
    insta::assert_snapshot!(good().with("lic-b", "LIC-A").found(), @r"
    t.yaml:6:12 E0102 duplicate-server
      there are two servers with the name `LIC-A`
      give one of them another name
    ");
    insta::assert_snapshot!(good().with("port: 4820", &key).with("port: 4821", &keyed).found(), @r"
    t.yaml:6:73 E0102 duplicate-server
      `lic-a` and `lic-b` have the same key
      start one of them with a data directory of its own, and pin the key it shows
    ");
    let same = good().with(
        "secondary, address: 127.0.0.1, port: 4821",
        "secondary, address: localhost, port: 4820",
    );
    insta::assert_snapshot!(same.found(), @r"
    t.yaml:6:62 E0104 same-address
      `lic-a` and `lic-b` have the same address, port 4820 of `localhost`
      give one of them another port or address
    ");
}

#[test]
fn a_server_on_a_network_needs_a_key_and_cannot_be_served_yet() {
    let remote = good().with("primary, address: 127.0.0.1", "primary, address: lic-a.example.com");
    insta::assert_snapshot!(remote.found(), @r#"
    t.yaml:5:43 E0105 key-missing
      `lic-a` has no `key`, which may be absent on a loopback address only
      pin the identity key that `tandem serve` shows when the server starts: key: "ed25519:..."
    t.yaml:5:43 W0106 not-in-force (warning)
      the address cannot be served yet: this version has no TLS, and `tandem serve` listens on loopback addresses only
      use 127.0.0.1, and let a tunnel that authenticates both ends carry the connection
    "#);
}

#[test]
fn what_is_not_in_force_is_named() {
    let case = good()
        .with("users: [{name: ana}", &format!("users: [{{name: ana, key: \"{OPERATOR}\"}}"))
        .with("reserve: 5", "reserve: 5, priority: 3, borrow: {longest: 7d, max: 2}")
        .with("users:", "redundancy: {escrow: {secondaryShare: 30%}}\nusers:");
    insta::assert_snapshot!(case.found(), @r"
    t.yaml:11:26 W0106 not-in-force (warning)
      a user's `key` protects nothing yet: requests as that user are taken without a signature, from anybody on the network
      do not rely on it; whoever can reach the servers can take that user's seats
    ");
    let case = good().with("users:", "redundancy: {mode: escrow}\nusers:");
    assert_eq!(case.found(), "");
}

#[test]
fn a_license_of_the_other_role_is_named_exactly() {
    let mut case = good();
    case.licenses = vec![
        file("lic-a", "p.alf", &sign(&license(Role::Primary), &key()).armor()),
        file(
            "lic-b",
            "licenses/designer.primary.alf",
            &sign(&license(Role::Primary), &key()).armor(),
        ),
    ];
    insta::assert_snapshot!(case.with("s.alf", "licenses/*.primary.alf").found(), @r"
    t.yaml:6:79 E0103 role-mismatch
      licenses/designer.primary.alf is encoded for the primary server, but lic-b is the secondary: use the file saved from the secondary's activation
      name the secondary's file in the `licenses` of `lic-b` instead
    ");
}

#[test]
fn a_license_that_does_not_verify_is_refused_and_hides_no_more() {
    let mut case = good();
    case.licenses[0].text = b"-----BEGIN RSA-----\n"[..].into();
    let edited = sign(&license(Role::Primary), &key()).armor().replace("PRIMARY", "SECONDARY");
    case.licenses[1].text = edited.as_bytes().into();
    insta::assert_snapshot!(case.found(), @r"
    t.yaml:5:77 E0201 license-damaged
      `p.alf` has a block labeled `RSA` at line 1, which is neither `TANDEM PRIMARY LICENSE` nor `TANDEM SECONDARY LICENSE`
      name a license file (.alf) as the vendor issued it
    t.yaml:6:79 E0202 license-signature
      `s.alf` is labeled for the secondary server, but its payload is for the primary
      restore the file as the vendor issued it, from git or from the vendor; an edited license never verifies
    ");
}

#[test]
fn a_license_is_used_only_where_its_vendor_allows() {
    let other = SigningKey::from_bytes(&[2; 32]);
    let mut case = good();
    case.licenses[0] = file("lic-a", "p.alf", &sign(&license(Role::Primary), &other).armor());
    insta::assert_snapshot!(case.found(), @r#"
    t.yaml:5:77 E0203 vendor-not-trusted
      `p.alf` is signed by the vendor ed25519:gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=, which is not trusted
      if you buy from this vendor, add "ed25519:gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=" to `trust.vendors`
    "#);
    let bound = good().licensed(|license| License { server: Some(vendor()), ..license });
    insta::assert_snapshot!(bound.found(), @r"
    t.yaml:5:77 E0204 license-bound-elsewhere
      `p.alf` is bound to the server with the key ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=, and the key of this one is not known
      pin the server's identity key in the manifest (`servers[].key`); `tandem serve` shows it
    t.yaml:6:79 E0204 license-bound-elsewhere
      `s.alf` is bound to the server with the key ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=, and the key of this one is not known
      pin the server's identity key in the manifest (`servers[].key`); `tandem serve` shows it
    ");
    let escrow = |license| License { modes: Some(vec![crate::role::Mode::Escrow]), ..license };
    insta::assert_snapshot!(good().licensed(escrow).found(), @r"
    t.yaml:5:77 E0205 mode-not-allowed
      `p.alf` does not allow the redundancy mode `mirror`, only `escrow`
      change `redundancy.mode`, or ask the vendor for a license that allows it
    t.yaml:6:79 E0205 mode-not-allowed
      `s.alf` does not allow the redundancy mode `mirror`, only `escrow`
      change `redundancy.mode`, or ask the vendor for a license that allows it
    ");
}

#[test]
fn half_a_purchase_is_refused() {
    let pair = |name| Some(PurchaseId::new(name).expect("an id"));
    let whole = good().licensed(|license| License { pair: pair("P-1"), ..license });
    assert_eq!(whole.found(), "");
    let halves =
        good().licensed(|license| License { pair: pair(license.role.as_str()), ..license });
    insta::assert_snapshot!(halves.found(), @r"
    t.yaml:5:77 E0206 twin-missing
      `p.alf` is half of the purchase `primary`, whose secondary license is not at the other server
      add the secondary file of the same purchase to the secondary server
    t.yaml:6:79 E0206 twin-missing
      `s.alf` is half of the purchase `secondary`, whose primary license is not at the other server
      add the primary file of the same purchase to the primary server
    ");
}

#[test]
fn an_ended_license_is_an_error_unless_it_runs() {
    let ended = || good().licensed(|license| License { expires: days(0), ..license });
    insta::assert_snapshot!(ended().found(), @r"
    t.yaml:5:77 E0207 license-expired
      `p.alf` ended at 2026-06-01T00:00:00.000Z
      renew the license and replace the file
    t.yaml:6:79 E0207 license-expired
      `s.alf` ended at 2026-06-01T00:00:00.000Z
      renew the license and replace the file
    ");
    let mut running = ended();
    running.running.insert(LicenseId::new("l-1").expect("an id"));
    insta::assert_snapshot!(running.found(), @r"
    t.yaml:5:77 E0207 license-expired (warning)
      `p.alf` ended at 2026-06-01T00:00:00.000Z: it gives no seats
      renew the license and replace the file
    t.yaml:6:79 E0207 license-expired (warning)
      `s.alf` ended at 2026-06-01T00:00:00.000Z: it gives no seats
      renew the license and replace the file
    ");
}

#[test]
fn dates_that_come_are_warnings_until_a_flag_says_otherwise() {
    let later =
        good().licensed(|license| License { not_before: days(1).expect("a time"), ..license });
    insta::assert_snapshot!(later.found(), @r"
    t.yaml:5:77 W0208 license-not-yet-valid (warning)
      `p.alf` gives no seats before 2026-06-02T00:00:00.000Z
      keep the license that is valid until then
    t.yaml:6:79 W0208 license-not-yet-valid (warning)
      `s.alf` gives no seats before 2026-06-02T00:00:00.000Z
      keep the license that is valid until then
    ");
    let soon = |day| good().licensed(move |license| License { expires: days(day), ..license });
    insta::assert_snapshot!(soon(60).found(), @r"
    t.yaml:5:77 W0209 license-ends-soon (warning)
      `p.alf` ends within 60 days, at 2026-07-31T00:00:00.000Z
      renew the license and add the new file beside this one
    t.yaml:6:79 W0209 license-ends-soon (warning)
      `s.alf` ends within 60 days, at 2026-07-31T00:00:00.000Z
      renew the license and add the new file beside this one
    ");
    assert_eq!(soon(61).found(), "");
    let within = |day, within| Case { within: Some(within), ..soon(day) };
    insta::assert_snapshot!(within(1, "30d").found(), @r"
    t.yaml:5:77 W0209 license-ends-soon
      `p.alf` ends within 1 day, at 2026-06-02T00:00:00.000Z
      renew the license and add the new file beside this one
    t.yaml:6:79 W0209 license-ends-soon
      `s.alf` ends within 1 day, at 2026-06-02T00:00:00.000Z
      renew the license and add the new file beside this one
    ");
    assert!(within(31, "30d").found().contains("(warning)"));
    assert!(!within(80, "90d").found().contains("(warning)"));
}

#[test]
fn a_license_counts_once_and_capacities_are_compared() {
    insta::assert_snapshot!(good().and("lic-a", &license(Role::Primary)).found(), @r"
    t.yaml:5:84 W0210 license-repeated (warning)
      `2.alf` has the license `L-1`, which `p.alf` has already: it counts once
      remove one of the two
    ");
    let more = License { id: LicenseId::new("L-2").expect("an id"), ..license(Role::Primary) };
    insta::assert_snapshot!(good().and("lic-a", &more).found(), @r"
    t.yaml:14:14 W0212 capacities-differ (warning)
      `designer` has 20 seats at `lic-a` and 10 at `lic-b`
      add the license that is missing at `lic-b`
    ");
}

#[test]
fn licenses_of_a_product_agree_on_what_a_seat_is() {
    let case = good().licensed(|license| {
        let share =
            if license.role == Role::Primary { vec![SharePart::User] } else { license.share };
        License { share, ..license }
    });
    insta::assert_snapshot!(case.found(), @r"
    t.yaml:6:79 E0211 share-differs
      `s.alf` counts a seat of `designer` by user and host, but `p.alf` by user
      ask the vendor for licenses of this product with the same `share`
    ");
}

#[test]
fn names_are_unique_in_their_list() {
    let case = good()
        .with("{name: bo}", "{name: bo}, {name: Ana}")
        .with("members: [ana, bo]}", "members: [ana, bo, BO]}\n  - {name: HARDWARE}")
        .with("seats:\n", "seats:\n  - {product: Designer, assign: [{user: ana}]}\n");
    insta::assert_snapshot!(case.found(), @r"
    t.yaml:10:41 E0301 duplicate-name
      the user `Ana` is listed twice
      remove one of them
    t.yaml:12:41 E0301 duplicate-name
      the member `BO` is listed twice
      remove one of them
    t.yaml:13:12 E0301 duplicate-name
      the group `HARDWARE` is listed twice
      remove one of them
    t.yaml:16:14 E0301 duplicate-name
      the product `designer` is listed twice
      remove one of them
    ");
}

#[test]
fn a_list_may_repeat_the_manifest_but_not_itself_and_is_never_quoted() {
    let case = Case { members: Some("# who\nana\n  hunter2 # x\nbo\nBO\na*\n"), ..good() };
    insta::assert_snapshot!(case.found(), @r"
    list.txt:3:3 E0302 unknown-user
      this line names a user that is not listed in `users`
      add the user to `users`, or remove the name here
    list.txt:5:1 E0301 duplicate-name
      this member is listed twice
      remove one of them
    list.txt:6:1 E0407 invalid-list-line
      this line is no user name: it has a wildcard or a control character
      write one user name a line; `#` begins a comment
    ");
    let case = Case { users: Some("- name: cy\n- name: ANA\n"), ..good() };
    let everyone = "      - {everyone: true}\n";
    insta::assert_snapshot!(case.with(everyone, "").found(), @r"
    users.yaml:1:9 W0307 unassigned-user (warning)
      no assignment gives this user a seat
      add the user to a group that has seats, or remove the user
    users.yaml:2:9 E0301 duplicate-name
      this user is listed twice
      remove one of them
    ");
}

#[test]
fn unknown_names_come_with_the_nearest_known_one() {
    let case = good()
        .with("members: [ana, bo]", "members: [ana, bo, anna, zacharias]")
        .with("group: hardware", "group: hardwear")
        .with("product: designer", "product: desinger")
        .with("- {everyone: true}", "- {user: b0}\n      - {user: guest-*}\n      - {everyone: true}\n    deny: [{group: x}]");
    insta::assert_snapshot!(case.found(), @r"
    t.yaml:12:41 E0302 unknown-user
      the user `anna` is not listed in `users`
      did you mean `ana`? Otherwise add the user to `users`
    t.yaml:12:47 E0302 unknown-user
      the user `zacharias` is not listed in `users`
      add the user to `users`, or remove the name here
    t.yaml:14:14 E0304 unknown-product
      no license offers the product `desinger`
      did you mean `designer`? Otherwise add its license files to both servers
    t.yaml:16:17 E0303 unknown-group
      the group `hardwear` is not listed in `groups`
      did you mean `hardware`? Otherwise add the group to `groups`
    t.yaml:17:16 E0302 unknown-user
      the user `b0` is not listed in `users`
      did you mean `bo`? Otherwise add the user to `users`
    t.yaml:20:20 E0303 unknown-group
      the group `x` is not listed in `groups`
      add the group to `groups`, or remove the entry
    ");
}

#[test]
fn a_licensed_product_is_assigned_to_somebody() {
    let other = |role| License {
        id: LicenseId::new("L-2").expect("an id"),
        product: ProductName::new("viewer").expect("a name"),
        ..license(role)
    };
    let case = good().and("lic-a", &other(Role::Primary)).and("lic-b", &other(Role::Secondary));
    insta::assert_snapshot!(case.found(), @r"
    t.yaml:5:84 E0305 product-not-assigned
      `2.alf` licenses `viewer`, which `seats` assigns to nobody
      assign its seats under `seats`, for example with `assign: [{everyone: true}]`
    ");
    let (head, _) = GOOD.split_once("    assign:").expect("assignments");
    let case = Case { text: head.to_owned(), ..good() };
    insta::assert_snapshot!(case.found(), @r"
    t.yaml:14:14 E0305 product-not-assigned
      `designer` is assigned to nobody
      assign its seats under `seats`, for example with `assign: [{everyone: true}]`
    ");
}

#[test]
fn reserves_fit_into_either_capacity() {
    let more = License { id: LicenseId::new("L-2").expect("an id"), ..license(Role::Primary) };
    let case = good()
        .and("lic-a", &more)
        .with("- {everyone: true}", "- {user: ana, reserve: 6}\n      - {everyone: true}");
    insta::assert_snapshot!(case.found(), @r"
    t.yaml:14:14 W0212 capacities-differ (warning)
      `designer` has 20 seats at `lic-a` and 10 at `lic-b`
      add the license that is missing at `lic-b`
    t.yaml:17:30 E0306 reserve-exceeds-capacity
      the reserves of `designer` come to 11 seats, but `lic-b`, the secondary, has 10
      lower the reserves, or add licenses to that server
    ");
}

#[test]
fn a_user_without_any_assignment_is_named() {
    let case = || good().with("      - {everyone: true}\n", "").with("[ana, bo]", "[ana]");
    insta::assert_snapshot!(case().found(), @r"
    t.yaml:10:29 W0307 unassigned-user (warning)
      no assignment gives `bo` a seat
      add the user to a group that has seats, or remove the user
    ");
    assert_eq!(case().with("[ana]", "[ana, {host: ws-*}]").found(), "");
    // Somebody was meant.
    assert!(!case().with("[ana]", "[ana, b0]").found().contains("W0307"));
    assert_eq!(case().with("reserve: 5}", "reserve: 5}\n      - {user: \"b*\"}").found(), "");
}

#[test]
fn an_entry_after_one_that_serves_all_it_matches_is_never_reached() {
    let case = |entries: &str| good().with("- {everyone: true}", entries).found();
    let line = "      - ";
    insta::assert_snapshot!(case(&format!("- {{everyone: true}}\n{line}{{user: ana, max: 2}}")), @r"
    t.yaml:18:16 W0308 unreachable-assignment (warning)
      this entry is never reached: entry 2 (everyone) comes first, matches all that it matches, and has no limit of its own
      put this entry before that one, or remove it
    ");
    insta::assert_snapshot!(case(&format!("- {{user: \"a*\"}}\n{line}{{user: ana}}\n{line}{{user: bo, max: 0}}")), @r"
    t.yaml:18:16 W0308 unreachable-assignment (warning)
      this entry is never reached: entry 2 (user `a*`) comes first, matches all that it matches, and has no limit of its own
      put this entry before that one, or remove it
    t.yaml:19:25 W0308 unreachable-assignment (warning)
      this entry never serves anybody: its `max` is 0
      raise it, or use `deny`
    ");
    insta::assert_snapshot!(case(&format!("- {{user: ana, max: 2}}\n{line}{{user: ana, max: 2}}")), @r"
    t.yaml:17:16 W0308 unreachable-assignment (warning)
      this entry is never reached: entry 1 (group `hardware`) comes first, matches all that it matches, and has no limit of its own
      put this entry before that one, or remove it
    t.yaml:18:16 W0308 unreachable-assignment (warning)
      this entry is never reached: entry 1 (group `hardware`) comes first, matches all that it matches, and has no limit of its own
      put this entry before that one, or remove it
    ");
    insta::assert_snapshot!(case("- {user: ana}\n    deny: [{user: \"a*\"}]"), @r"
    t.yaml:17:16 W0308 unreachable-assignment (warning)
      this entry never serves anybody: `deny` refuses user `a*`
      remove the entry, or narrow `deny`
    ");
    // A limit, a reserve or borrowing makes it reachable.
    assert_eq!(case(&format!("- {{everyone: true, max: 3}}\n{line}{{host: ws-*}}")), "");
    assert_eq!(case(&format!("- {{everyone: true}}\n{line}{{host: ws-*, reserve: 1}}")), "");
}

#[test]
fn somebody_can_sign_the_next_change() {
    insta::assert_snapshot!(good().with(&format!("[\"{OPERATOR}\"]"), "[]").found(), @r#"
    t.yaml:9:14 E0401 no-operator
      there is no operator: nobody could sign the next change
      add your SSH public key to `trust.operators`: operators: ["ssh-ed25519 AAAA... you"]
    "#);
    let same = OPERATOR.trim_end_matches(" ana");
    assert_eq!(Case { signer: Some(same), ..good() }.found(), "");
    let signer =
        Some("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA8O0kUbGmhMAykHbmJc7OEBYLjMEmg8EcE9fCVBOTqc");
    insta::assert_snapshot!(Case { signer, ..good() }.found(), @r"
    t.yaml:9:14 E0402 signer-dropped
      the key that signs this change is not in `trust.operators`: it could sign no other
      keep your key in `trust.operators`, or have another operator apply the change
    ");
}
