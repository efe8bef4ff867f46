//! License files (.alf): what a vendor says about one product, signed so that a file of one role cannot verify as
//! the other, whatever is edited (formats.md, "License file").
//!
//! Owned here: the armor, the payload, the signature and every reason to refuse a license alone. What several
//! licenses mean together is the manifest's. Bytes come in as arguments; nothing here opens a file or asks the time.

mod armor;
mod payload;
mod rejection;
mod sign;

pub use armor::{Block, FILE_BYTES_MAX, blocks};
pub use payload::SharePart;
pub use rejection::Rejection;
pub use sign::sign;

use serde::Serialize;

use crate::measure::{Seats, Span, Timestamp};
use crate::name::{LicenseId, ProductName, PublicKey, PurchaseId};
use crate::role::{Mode, Role};

/// What a vendor says about one product at one server of a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct License {
    /// The license's id, made by its vendor.
    pub id: LicenseId,
    /// The product it licenses.
    pub product: ProductName,
    /// How many seats, 1 or more.
    pub seats: Seats,
    /// The role of the server it is encoded for.
    pub role: Role,
    /// The vendor who signed it.
    pub vendor: PublicKey,
    /// When it was issued.
    pub issued: Timestamp,
    /// From when its seats count.
    pub not_before: Timestamp,
    /// When it ends; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The identity key of the only server it is for; absent: any server of its role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<PublicKey>,
    /// The purchase it is half of: the other role's file has the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<PurchaseId>,
    /// The redundancy modes the vendor allows; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modes: Option<Vec<Mode>>,
    /// How long a secondary may serve without having heard its primary; absent: without end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standalone: Option<Span>,
    /// The longest time for which a seat may be borrowed; absent: as the manifest says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_borrow: Option<Span>,
    /// What makes two checkouts one seat.
    #[serde(skip_serializing_if = "SharePart::is_default")]
    pub share: Vec<SharePart>,
    /// Texts that every lease token carries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
}

impl License {
    /// Whether its seats count already.
    #[must_use]
    pub fn is_live_from(&self, wall: Timestamp) -> bool {
        self.not_before <= wall
    }

    /// Whether it has ended: at its `expires` it has.
    #[must_use]
    pub fn is_expired_at(&self, wall: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= wall)
    }

    /// Whether its seats count at this time.
    #[must_use]
    pub fn is_valid_at(&self, wall: Timestamp) -> bool {
        self.is_live_from(wall) && !self.is_expired_at(wall)
    }

    /// Whether `other` is the other file of the same purchase: one `pair`, one product, the other role.
    #[must_use]
    pub fn is_twin_of(&self, other: &Self) -> bool {
        self.pair.is_some()
            && self.pair == other.pair
            && self.product == other.product
            && self.role == other.role.other()
    }
}

/// Where a license is to be used, and whose licenses are accepted there.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The role of the server.
    pub role: Role,
    /// The server's identity key, where the manifest pins it.
    pub server_key: Option<&'a PublicKey>,
    /// The vendors that the manifest trusts.
    pub vendors: &'a [PublicKey],
    /// The pair's redundancy mode.
    pub mode: Mode,
}

/// Whether a license may be used there. Its dates are judged apart ([`in_date`]), as they depend on the time.
///
/// # Errors
/// The first that applies: another role, a vendor that is not trusted, another server, a mode that is not allowed.
pub fn fits(license: &License, terms: &Terms<'_>) -> Result<(), Rejection> {
    if license.role != terms.role {
        return Err(Rejection::WrongRole { found: license.role, wanted: terms.role });
    }
    if !terms.vendors.contains(&license.vendor) {
        return Err(Rejection::UnknownVendor { vendor: license.vendor });
    }
    match license.server {
        Some(bound) if terms.server_key != Some(&bound) => {
            return Err(Rejection::OtherServer { bound, here: terms.server_key.copied() });
        }
        _ => {}
    }
    match &license.modes {
        Some(allowed) if !allowed.contains(&terms.mode) => {
            Err(Rejection::ModeNotAllowed { mode: terms.mode, allowed: allowed.clone() })
        }
        _ => Ok(()),
    }
}

/// Whether a license has not ended. One that is not yet valid is no error: its seats count from `notBefore`.
///
/// # Errors
/// It has ended.
pub fn in_date(license: &License, wall: Timestamp) -> Result<(), Rejection> {
    match license.expires {
        Some(expires) if license.is_expired_at(wall) => Err(Rejection::Expired { expires }),
        _ => Ok(()),
    }
}

/// Whether a license that is half of a purchase has its other half among `others`.
///
/// # Errors
/// It names a purchase and no twin of it is there.
pub fn has_twin<'a>(
    license: &License,
    others: impl IntoIterator<Item = &'a License>,
) -> Result<(), Rejection> {
    match &license.pair {
        Some(pair) if !others.into_iter().any(|other| license.is_twin_of(other)) => {
            Err(Rejection::NoTwin { pair: pair.clone(), missing: license.role.other() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::sign::tests::{key, license};
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a valid time")
    }

    #[test]
    fn a_license_counts_from_its_start_up_to_its_end() {
        let license = License {
            not_before: at("2026-01-01T00:00:00Z"),
            expires: Some(at("2027-01-01T00:00:00Z")),
            ..license(Role::Primary)
        };
        assert!(!license.is_valid_at(at("2025-12-31T23:59:59.999Z")));
        assert!(license.is_valid_at(at("2026-01-01T00:00:00Z")));
        assert!(license.is_valid_at(at("2026-12-31T23:59:59.999Z")));
        assert!(!license.is_valid_at(at("2027-01-01T00:00:00Z")));
        assert!(in_date(&license, at("2025-01-01T00:00:00Z")).is_ok());
        assert_eq!(
            in_date(&license, at("2027-01-01T00:00:00Z")),
            Err(Rejection::Expired { expires: at("2027-01-01T00:00:00Z") })
        );
    }

    #[test]
    fn each_term_is_held_against_the_license() {
        let vendor = license(Role::Primary).vendor;
        let server = PublicKey(key(7).verifying_key().to_bytes());
        let stranger = PublicKey(key(8).verifying_key().to_bytes());
        let vendors = [vendor];
        let terms =
            Terms { role: Role::Primary, server_key: None, vendors: &vendors, mode: Mode::Mirror };
        let plain = license(Role::Primary);
        let bound = License { server: Some(server), ..plain.clone() };
        let escrow = License { modes: Some(vec![Mode::Escrow]), ..plain.clone() };

        assert_eq!(fits(&plain, &terms), Ok(()));
        assert_eq!(
            fits(&license(Role::Secondary), &terms),
            Err(Rejection::WrongRole { found: Role::Secondary, wanted: Role::Primary })
        );
        assert_eq!(
            fits(&plain, &Terms { vendors: &[stranger], ..terms }),
            Err(Rejection::UnknownVendor { vendor })
        );
        assert_eq!(fits(&bound, &terms), Err(Rejection::OtherServer { bound: server, here: None }));
        assert_eq!(
            fits(&bound, &Terms { server_key: Some(&stranger), ..terms }),
            Err(Rejection::OtherServer { bound: server, here: Some(stranger) })
        );
        assert_eq!(fits(&bound, &Terms { server_key: Some(&server), ..terms }), Ok(()));
        assert_eq!(
            fits(&escrow, &terms),
            Err(Rejection::ModeNotAllowed { mode: Mode::Mirror, allowed: vec![Mode::Escrow] })
        );
        assert_eq!(fits(&escrow, &Terms { mode: Mode::Escrow, ..terms }), Ok(()));
    }

    #[test]
    fn half_a_purchase_misses_its_twin() {
        let pair = PurchaseId::new("p-1").expect("a valid id");
        let half = |role| License { pair: Some(pair.clone()), ..license(role) };
        assert_eq!(has_twin(&half(Role::Primary), &[half(Role::Secondary)]), Ok(()));
        assert_eq!(has_twin(&license(Role::Primary), &[]), Ok(()));
        assert_eq!(
            has_twin(&half(Role::Primary), &[half(Role::Primary), license(Role::Secondary)]),
            Err(Rejection::NoTwin { pair, missing: Role::Secondary })
        );
    }
}
