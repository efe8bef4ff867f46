//! Issuing: an order becomes a signed license, or the two signed files of one purchase.
//!
//! What is issued is read back and verified before anyone gets it, so a vendor cannot sell what no server takes.

use ed25519_dalek::SigningKey;

use crate::license::{self, Block, License, Rejection, SharePart};
use crate::measure::{Seats, Span, Timestamp};
use crate::name::{LicenseId, NameError, ProductName, PublicKey, PurchaseId};
use crate::role::{Mode, Role};
use crate::seam::World;

/// What is ordered: the fields of a license that do not depend on its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The license's id; absent: one is made. Twins are told apart by `-primary` and `-secondary`.
    pub id: Option<LicenseId>,
    /// The product.
    pub product: ProductName,
    /// How many seats.
    pub seats: Seats,
    /// From when the seats count; absent: from now.
    pub not_before: Option<Timestamp>,
    /// When it ends; absent: never.
    pub expires: Option<Timestamp>,
    /// The purchase that twins share; absent: one is made for twins, none for a single file.
    pub pair: Option<PurchaseId>,
    /// The redundancy modes allowed; absent: all.
    pub modes: Option<Vec<Mode>>,
    /// How long a secondary may serve without having heard its primary; absent: without end.
    pub standalone: Option<Span>,
    /// The longest borrow; absent: as the manifest says.
    pub max_borrow: Option<Span>,
    /// What makes two checkouts one seat; absent: user and host.
    pub share: Option<Vec<SharePart>>,
    /// Texts that every lease token carries.
    pub entitlements: Vec<String>,
}

impl Order {
    /// An order with nothing but what every license has.
    #[must_use]
    pub const fn new(product: ProductName, seats: Seats) -> Self {
        Self {
            id: None,
            product,
            seats,
            not_before: None,
            expires: None,
            pair: None,
            modes: None,
            standalone: None,
            max_borrow: None,
            share: None,
            entitlements: Vec::new(),
        }
    }
}

/// Why nothing was issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// Every server would refuse the license.
    #[error("the license would be refused: it {0}")]
    Refused(#[from] Rejection),
    /// The id is too long to be told apart for both roles.
    #[error("the id of the {role} license {error}")]
    Id {
        /// The role.
        role: Role,
        /// What is wrong with the id.
        error: NameError,
    },
    /// The license has more bytes than a license file may have.
    #[error("the license has {bytes} bytes, more than the {max} that a license file may have")]
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        max: usize,
    },
}

/// Issues one license file for one role, bound to `server` if there is one.
///
/// # Errors
/// What was ordered makes no valid license.
pub fn issue(
    order: &Order,
    role: Role,
    server: Option<PublicKey>,
    key: &SigningKey,
    world: &World,
) -> Result<Block, IssueError> {
    let id = match &order.id {
        Some(id) => id.clone(),
        None => id(world, role)?,
    };
    signed(order, id, role, server, key, world.clock.now().wall)
}

/// The two files of one purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twins {
    /// The file for the primary.
    pub primary: Block,
    /// The file for the secondary.
    pub secondary: Block,
}

/// The identity keys that twins are bound to, where they are bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerKeys {
    /// The primary's.
    pub primary: Option<PublicKey>,
    /// The secondary's.
    pub secondary: Option<PublicKey>,
}

/// Issues the two files of one purchase: the same but for role, id and server.
///
/// # Errors
/// What was ordered makes no valid license.
pub fn issue_twins(
    order: &Order,
    servers: ServerKeys,
    key: &SigningKey,
    world: &World,
) -> Result<Twins, IssueError> {
    let order = Order { pair: Some(pair_or_new(order, world)?), ..order.clone() };
    let now = world.clock.now().wall;
    let half = |role, server| {
        let id = match &order.id {
            Some(id) => LicenseId::new(&format!("{id}-{role}")),
            None => LicenseId::new(&fresh(world)),
        };
        let id = id.map_err(|error| IssueError::Id { role, error })?;
        signed(&order, id, role, server, key, now)
    };
    Ok(Twins {
        primary: half(Role::Primary, servers.primary)?,
        secondary: half(Role::Secondary, servers.secondary)?,
    })
}

/// Issues the file that is missing from a purchase of which one file is there: the same but for role and id.
///
/// # Errors
/// The file that is there belongs to no purchase, or another vendor issued it.
pub fn issue_twin_of(half: &License, key: &SigningKey, world: &World) -> Result<Block, TwinError> {
    let ours = PublicKey(key.verifying_key().to_bytes());
    if half.vendor != ours {
        return Err(TwinError::OtherVendor { vendor: half.vendor });
    }
    if half.pair.is_none() {
        return Err(TwinError::NoPurchase);
    }
    let role = half.role.other();
    let id = id(world, role)?;
    let twin = License { id, role, server: None, issued: world.clock.now().wall, ..half.clone() };
    Ok(checked(license::sign(&twin, key))?)
}

/// Why a license got no twin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TwinError {
    /// It names no purchase that a twin could share.
    #[error("the license that is there has no `pair`, so it can have no twin")]
    NoPurchase,
    /// Another vendor issued it.
    #[error("the license that is there was issued by another vendor, {vendor}")]
    OtherVendor {
        /// That vendor.
        vendor: PublicKey,
    },
    /// The twin would be refused.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

fn signed(
    order: &Order,
    id: LicenseId,
    role: Role,
    server: Option<PublicKey>,
    key: &SigningKey,
    now: Timestamp,
) -> Result<Block, IssueError> {
    let license = License {
        id,
        product: order.product.clone(),
        seats: order.seats,
        role,
        vendor: PublicKey(key.verifying_key().to_bytes()),
        issued: now,
        not_before: order.not_before.unwrap_or(now),
        expires: order.expires,
        server,
        pair: order.pair.clone(),
        modes: order.modes.clone(),
        standalone: order.standalone,
        max_borrow: order.max_borrow,
        share: order.share.clone().unwrap_or_else(|| SharePart::DEFAULT.to_vec()),
        entitlements: order.entitlements.clone(),
    };
    checked(license::sign(&license, key))
}

fn checked(block: Block) -> Result<Block, IssueError> {
    block.verify()?;
    let (bytes, max) = (block.armor().len(), license::FILE_BYTES_MAX);
    if bytes > max { Err(IssueError::TooLarge { bytes, max }) } else { Ok(block) }
}

fn pair_or_new(order: &Order, world: &World) -> Result<PurchaseId, IssueError> {
    match &order.pair {
        Some(pair) => Ok(pair.clone()),
        None => PurchaseId::new(&fresh(world))
            .map_err(|error| IssueError::Id { role: Role::Primary, error }),
    }
}

fn id(world: &World, role: Role) -> Result<LicenseId, IssueError> {
    LicenseId::new(&fresh(world)).map_err(|error| IssueError::Id { role, error })
}

/// An id that no one else has: a UUID of version 7, so that ids sort by when they were made.
fn fresh(world: &World) -> String {
    let mut random = [0; 10];
    world.entropy.fill(&mut random);
    let ms = u64::try_from(world.clock.now().wall.ms()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[1; 32])
    }

    fn order() -> Order {
        Order::new(ProductName::new("designer").expect("a valid name"), Seats(10))
    }

    #[test]
    fn twins_share_a_purchase_and_differ_in_role_and_id() {
        let twins = issue_twins(&order(), ServerKeys::default(), &key(), &World::real());
        let Twins { primary, secondary } = twins.expect("issued");
        let (primary, secondary) =
            (primary.verify().expect("valid"), secondary.verify().expect("valid"));
        assert!(primary.is_twin_of(&secondary));
        assert_ne!(primary.id, secondary.id);
        assert_eq!(primary.not_before, secondary.not_before);
    }

    #[test]
    fn what_every_server_refuses_is_not_issued() {
        let none = Order { seats: Seats(0), ..order() };
        let refused = issue(&none, Role::Primary, None, &key(), &World::real());
        assert!(matches!(refused, Err(IssueError::Refused(Rejection::InvalidField { .. }))));
        let long = Order { id: Some(LicenseId::new(&"a".repeat(60)).expect("valid")), ..order() };
        let refused = issue_twins(&long, ServerKeys::default(), &key(), &World::real());
        assert!(matches!(refused, Err(IssueError::Id { role: Role::Primary, .. })));
        let large = Order { entitlements: vec!["x".repeat(license::FILE_BYTES_MAX)], ..order() };
        let refused = issue(&large, Role::Primary, None, &key(), &World::real());
        assert!(matches!(refused, Err(IssueError::TooLarge { .. })));
    }

    #[test]
    fn a_lost_half_is_issued_again_by_its_vendor_alone() {
        let world = World::real();
        let twins = issue_twins(&order(), ServerKeys::default(), &key(), &world).expect("issued");
        let half = twins.secondary.verify().expect("valid");
        let twin = issue_twin_of(&half, &key(), &world).expect("issued").verify().expect("valid");
        assert!(twin.is_twin_of(&half));
        assert_eq!(twin.role, Role::Primary);
        assert_eq!(
            issue_twin_of(&half, &SigningKey::from_bytes(&[2; 32]), &world),
            Err(TwinError::OtherVendor { vendor: half.vendor })
        );
        let single = License { pair: None, ..half };
        assert_eq!(issue_twin_of(&single, &key(), &world), Err(TwinError::NoPurchase));
    }
}
