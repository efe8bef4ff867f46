//! A small pair with its licenses, for tests of what stands on bundles.

use ed25519_dalek::SigningKey;

use crate::license::{self, License, SharePart};
use crate::manifest::types::{Manifest, Role};
use crate::measure::{Seats, Timestamp};
use crate::name::{LicenseId, ProductName, PublicKey, ServerName};

use super::Bundle;

/// A manifest with two users, a group and a product; `VENDOR` stands for the vendor's key.
pub(crate) const MANIFEST: &str = "
apiVersion: tandem/v1
kind: LicensePair
metadata: {name: studio-west}
servers:
  - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: ['licenses/*.primary.alf']}
  - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821}
trust: {vendors: ['VENDOR']}
redundancy: {}
leases: {ttl: 5m}
users: [{name: ana}, {name: bo}]
groups: [{name: hardware, members: [ana, bo, {host: 'ws-*'}]}]
seats:
  - product: designer
    assign: [{group: hardware, reserve: 2}, {everyone: true}]
    deny: [{user: 'guest-*'}]
  - {product: viewer, ttl: 1h, assign: [{everyone: true}]}
";

fn vendor() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// The manifest of a YAML text.
pub(crate) fn manifest(yaml: &str) -> Manifest {
    let vendor = PublicKey(vendor().verifying_key().to_bytes()).to_string();
    serde_yaml::from_str(&yaml.replace("VENDOR", &vendor)).expect("a manifest")
}

/// A license of `designer` for a server of this role: 10 seats for the primary, 8 for the secondary.
pub(crate) fn license(role: Role) -> License {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a valid time");
    License {
        id: LicenseId::new("L-1").expect("a valid id"),
        product: ProductName::new("designer").expect("a valid name"),
        seats: Seats(if role == Role::Primary { 10 } else { 8 }),
        role,
        vendor: PublicKey(vendor().verifying_key().to_bytes()),
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

/// The text of a license file with one license.
pub(crate) fn issue(license: &License) -> Vec<u8> {
    license::sign(license, &vendor()).armor().into_bytes()
}

/// The license files of both servers.
pub(crate) fn license_files() -> Vec<(ServerName, String, Vec<u8>)> {
    let file = |server: &str, role: Role| {
        let server = ServerName::new(server).expect("a valid name");
        (server, format!("licenses/designer.{role}.alf"), issue(&license(role)))
    };
    vec![file("lic-a", Role::Primary), file("lic-b", Role::Secondary)]
}

/// The bundle of a YAML text and the license files.
pub(crate) fn bundle(yaml: &str) -> Bundle {
    Bundle::build(&manifest(yaml), license_files()).expect("a bundle")
}

/// The text of a bundle with its license blocks and vendor keys cut out.
pub(crate) fn without_pem(text: &str) -> String {
    let mut rest = text;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once("-----BEGIN") {
        out.push_str(before);
        out.push_str("...");
        rest = after.split_once('"').map_or("", |(_, after)| after);
        out.push('"');
    }
    out + rest
}
