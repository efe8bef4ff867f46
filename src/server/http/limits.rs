//! How much one address may ask for: connections at once, and checkouts a second. Loopback may always.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::measure::Moment;

/// The most connections of one address.
const CONNECTIONS_MAX: u32 = 64;
/// The checkouts of one address in a second.
const CHECKOUTS_PER_SECOND: u64 = 50;
/// How many addresses are remembered; those at rest are forgotten first.
const ADDRESSES_MAX: usize = 10_000;

/// Counts connections by address.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<BTreeMap<IpAddr, u32>>>);

/// One connection that counts, until it is dropped.
pub(super) struct Counted {
    connections: Connections,
    address: IpAddr,
}

impl Connections {
    /// Counts one more connection, unless the address has too many.
    pub(super) fn count(&self, address: IpAddr) -> Option<Counted> {
        let address = address.to_canonical();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= CONNECTIONS_MAX && !address.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Counted { connections: self.clone(), address })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.connections.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Counts checkouts by address: each has a bucket that fills again over a second.
#[derive(Default)]
pub(super) struct Checkouts(Mutex<BTreeMap<IpAddr, Bucket>>);

/// What an address has used of its second, in thousandths of a checkout.
#[derive(Clone, Copy)]
struct Bucket {
    used: u64,
    at: Moment,
}

impl Bucket {
    fn at(self, now: Moment) -> u64 {
        self.used.saturating_sub(now.since(self.at).ms().saturating_mul(CHECKOUTS_PER_SECOND))
    }
}

impl Checkouts {
    /// Whether the address may check out now.
    pub(super) fn may(&self, address: IpAddr, now: Moment) -> bool {
        if address.is_loopback() {
            return true;
        }
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES_MAX && !buckets.contains_key(&address) {
            buckets.retain(|_, bucket| bucket.at(now) > 0);
            if buckets.len() >= ADDRESSES_MAX {
                return false;
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket { used: 0, at: now });
        let used = bucket.at(now) + 1000;
        if used > CHECKOUTS_PER_SECOND * 1000 {
            return false;
        }
        *bucket = Bucket { used, at: now };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Span;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_64_connections_and_loopback_any_number() {
        let connections = Connections::default();
        let far = address("10.0.0.1");
        let mut kept: Vec<_> = (0..64).map(|_| connections.count(far).expect("room")).collect();
        assert!(connections.count(far).is_none());
        assert!(connections.count(address("10.0.0.2")).is_some());
        kept.pop();
        assert!(connections.count(far).is_some());
        let _many: Vec<_> = (0..100).map(|_| connections.count(address("::1"))).collect();
        assert!(connections.count(address("::1")).is_some());
    }

    #[test]
    fn an_address_has_50_checkouts_a_second() {
        let checkouts = Checkouts::default();
        let (far, start) = (address("10.0.0.1"), Moment::from_ms(5));
        assert_eq!((0..60).filter(|_| checkouts.may(far, start)).count(), 50);
        assert!(checkouts.may(address("10.0.0.2"), start));
        assert!(checkouts.may(far, start + Span::from_ms(20)));
        assert!(!checkouts.may(far, start + Span::from_ms(20)));
        let later = start + Span::from_secs(10);
        assert_eq!((0..60).filter(|_| checkouts.may(far, later)).count(), 50);
        assert!((0..1000).all(|_| checkouts.may(address("127.0.0.1"), start)));
    }
}
