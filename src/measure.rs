//! Quantities: time, seats, epochs, generations. What is counted or measured has a type here.
//!
//! Monotonic time ([`Moment`]) and wall time ([`Timestamp`]) never mix: leases, silence and grace run on the
//! first, license dates and what people read on the second. Nothing here reads a clock; `seam::clock` does.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point on a server's own monotonic clock, in milliseconds from an origin that means nothing elsewhere.
///
/// It never travels to another machine: on the wire there are only durations (pair.md, clock rules).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The moment `ms` milliseconds after the clock's origin.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the clock's origin.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Moment {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Moment {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

/// A length of time in whole milliseconds.
///
/// Written as one integer and a unit (`500ms`, `3s`, `5m`, `2h`, `7d`), shown in the largest unit that divides it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `ms` milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// A span of `secs` seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Whole milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// `n` times this span.
    #[must_use]
    pub const fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(n))
    }

    /// This span divided by `n` (`n` above zero), rounded down.
    #[must_use]
    pub const fn part(self, n: u64) -> Self {
        Self(self.0 / n)
    }

    /// This span in whole seconds, rounded up: for people, who would not be told to come too early.
    #[must_use]
    pub const fn in_secs(self) -> Self {
        Self::from_secs(self.0.div_ceil(1000))
    }

    /// This span and 3 %: what a server keeps where a client counts the plain span.
    ///
    /// Two clocks 1 % off in opposite directions need 2.02 % (pair.md, clock rules).
    #[must_use]
    pub const fn with_drift(self) -> Self {
        Self(self.0.saturating_add(self.0.saturating_mul(3).div_ceil(100)))
    }

    /// Whether it is no time at all.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// This span less another, never below zero.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The same length for the standard library's timers.
    #[must_use]
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = if self.0 == 0 {
            ("s", 1_000)
        } else {
            // Milliseconds divide everything, so a unit is always found.
            UNITS.into_iter().find(|(_, size)| self.0.is_multiple_of(*size)).unwrap_or(("ms", 1))
        };
        write!(f, "{}{unit}", self.0 / size)
    }
}

/// Why a text is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a duration is one integer and `ms`, `s`, `m`, `h` or `d`, for example `90s`")]
pub struct SpanError;

impl FromStr for Span {
    type Err = SpanError;
    fn from_str(text: &str) -> Result<Self, SpanError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let size = UNITS.iter().find(|(name, _)| *name == unit).ok_or(SpanError)?.1;
        let number: u64 = number.parse().map_err(|_| SpanError)?;
        number.checked_mul(size).map(Self).ok_or(SpanError)
    }
}

/// Wall time: milliseconds since 1970-01-01 UTC. Written as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time `ms` milliseconds after the Unix epoch, kept within the years 1 to 9999 (so that it can be shown).
    #[must_use]
    pub fn from_ms(ms: i64) -> Self {
        const FIRST: i64 = -62_135_596_800_000;
        const LAST: i64 = 253_402_207_199_999;
        Self(ms.clamp(FIRST, LAST))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, as JWT claims want them (RFC 7519, NumericDate).
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        let ms = self.0.saturating_sub(earlier.0);
        Span(if ms > 0 { ms.unsigned_abs() } else { 0 })
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self::from_ms(self.0.saturating_add_unsigned(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self::from_ms(self.0.saturating_sub_unsigned(span.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{}ms since 1970", self.0),
        }
    }
}

/// Why a text is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as RFC 3339 in UTC, for example `2026-01-31T12:00:00Z`")]
pub struct TimestampError;

impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        if !text.ends_with('Z') || text.len() > 40 || !text.contains('T') {
            return Err(TimestampError);
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| TimestampError)?;
        Ok(Self::from_ms(time.as_millisecond()))
    }
}

/// What a clock says at one point: both of a machine's clocks, read together.
///
/// Every decision takes it as an argument; no pure module asks for the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock: leases, silence, grace.
    pub moment: Moment,
    /// The wall clock: license dates, display.
    pub wall: Timestamp,
}

/// A number of seats.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Seats(pub u32);

impl Add for Seats {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Seats {
    /// These seats less others, never below zero.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl std::iter::Sum for Seats {
    fn sum<I: Iterator<Item = Self>>(seats: I) -> Self {
        seats.fold(Self(0), Add::add)
    }
}

impl fmt::Display for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a server's time of service: odd ones are the primary's, even ones the secondary's.
///
/// A server makes the next one of its own at every take-over and whenever it goes on alone.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Whether one server makes both: the epochs of one of the two are odd, those of the other even.
    #[must_use]
    pub const fn is_of_same_server(self, other: Self) -> bool {
        self.0 % 2 == other.0 % 2
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A bundle's monotonic number on a pair; 0 is a server that has none.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A share of a whole, in percent from 0 to 100, written `33%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u8);

impl Share {
    /// A share of `percent` of a hundred; none above 100.
    #[must_use]
    pub const fn from_percent(percent: u8) -> Option<Self> {
        if percent <= 100 { Some(Self(percent)) } else { None }
    }

    /// The percentage.
    #[must_use]
    pub const fn percent(self) -> u8 {
        self.0
    }

    /// Whether `count` of `total` is more than this share.
    #[must_use]
    pub fn is_exceeded_by(self, count: usize, total: usize) -> bool {
        (count as u128) * 100 > (total as u128) * u128::from(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// Why a text is not a share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share is an integer from 0 to 100 and `%`, for example `33%`")]
pub struct ShareError;

impl FromStr for Share {
    type Err = ShareError;
    fn from_str(text: &str) -> Result<Self, ShareError> {
        let number = text.strip_suffix('%').ok_or(ShareError)?;
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ShareError);
        }
        number.parse().ok().and_then(Self::from_percent).ok_or(ShareError)
    }
}

/// Serde as the text that `Display` writes and `FromStr` reads, with a schema of that text.
macro_rules! text_form {
    ($type:ty, $name:literal, $pattern:literal, $description:literal) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "pattern": $pattern, "description": $description
                })
            }
        }
    };
}

text_form!(Span, "Duration", "^[0-9]+(ms|s|m|h|d)$", "one integer and `ms`, `s`, `m`, `h` or `d`");
text_form!(Share, "Share", "^(100|[0-9]{1,2})%$", "an integer from 0 to 100 and `%`");
text_form!(Timestamp, "Timestamp", "Z$", "RFC 3339 in UTC");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_the_largest_unit_that_divides_them() {
        for (given, shown) in [
            ("500ms", "500ms"),
            ("1000ms", "1s"),
            ("90s", "90s"),
            ("120s", "2m"),
            ("24h", "1d"),
            ("0ms", "0s"),
        ] {
            assert_eq!(given.parse::<Span>().map(|span| span.to_string()), Ok(shown.to_owned()));
        }
    }

    #[test]
    fn durations_take_one_integer_and_one_unit() {
        for text in ["", "5", "m", "1h30m", "-1s", "1.5s", "5 m", "+5s", "99999999999999999999d"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError), "{text}");
        }
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        let time: Timestamp = "2026-01-31T12:00:00Z".parse().expect("a valid time");
        assert_eq!(time.to_string(), "2026-01-31T12:00:00.000Z");
        assert_eq!("2026-01-31T12:00:00+01:00".parse::<Timestamp>(), Err(TimestampError));
    }

    #[test]
    fn a_share_is_exceeded_only_above_it() {
        let third: Share = "33%".parse().expect("a valid share");
        assert!(!third.is_exceeded_by(33, 100));
        assert!(third.is_exceeded_by(34, 100));
        assert!(third.is_exceeded_by(1, 1));
        assert!(!third.is_exceeded_by(0, 0));
    }
}
