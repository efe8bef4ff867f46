//! Times as a scenario writes them: sums of durations and of the manifest's own (`30s + failoverAfter + 2
//! heartbeats`), so that one scenario fits every manifest.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tandem::manifest::types::Manifest;
use tandem::measure::Span;

use crate::seed::Stream;

/// A scenario does not wait for hours until a lease of a day is renewed.
const RENEWAL_MAX: Span = Span::from_secs(600);

/// The durations that a manifest gives a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// `heartbeat`.
    pub heartbeat: Span,
    /// `failoverAfter`.
    pub failover_after: Span,
    /// `aloneAfter`: how long a primary that lost its secondary waits.
    pub alone_after: Span,
    /// `ttl`: the longest of any product.
    pub ttl: Span,
    /// `renewal`: after how long a lease is renewed, a third of the longest ttl; at most 10 minutes.
    pub renewal: Span,
}

impl Timing {
    /// The durations of a manifest.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let own = manifest.seats.iter().filter_map(|seats| seats.ttl);
        let ttl = own.fold(manifest.leases.ttl, Span::max);
        Self {
            heartbeat: manifest.redundancy.heartbeat,
            failover_after: manifest.redundancy.failover_after,
            alone_after: manifest.redundancy.alone_after(),
            ttl,
            renewal: ttl.part(3).min(RENEWAL_MAX),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    Plain(Span),
    Heartbeats(u64),
    FailoverAfter(u64),
    AloneAfter(u64),
    Ttl(u64),
    Renewals(u64),
}

/// A point in a run, or a length of time: a sum, with `-` for what is taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Time(Vec<(bool, Term)>);

impl Time {
    /// What it comes to with these durations; never below zero.
    #[must_use]
    pub fn resolve(&self, timing: &Timing) -> Span {
        self.0.iter().fold(Span::ZERO, |sum, (minus, term)| {
            let span = match *term {
                Term::Plain(span) => span,
                Term::Heartbeats(n) => timing.heartbeat.times(n),
                Term::FailoverAfter(n) => timing.failover_after.times(n),
                Term::AloneAfter(n) => timing.alone_after.times(n),
                Term::Ttl(n) => timing.ttl.times(n),
                Term::Renewals(n) => timing.renewal.times(n),
            };
            if *minus { sum.less(span) } else { sum + span }
        })
    }
}

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// A term that is none.
    #[error(
        "`{0}` is no time: write a duration (`30s`), `failoverAfter`, `aloneAfter`, `ttl`, `renewals` or \
         `heartbeats`, with a number before it where there are several, and `+` or `-` between"
    )]
    Term(String),
    /// A limit without its sign.
    #[error("a limit begins with `<`: `<5s`")]
    Limit,
    /// A range that ends before it begins.
    #[error("a range is `5m..2h`, the shorter first")]
    Range,
}

fn term(text: &str) -> Result<Term, TimeError> {
    let wrong = || TimeError::Term(text.to_owned());
    let words: Vec<&str> = text.split_whitespace().collect();
    let (count, name) = match words.as_slice() {
        [one] => match one.parse::<Span>() {
            Ok(span) => return Ok(Term::Plain(span)),
            Err(_) => (1, *one),
        },
        [count, name] => (count.parse().map_err(|_| wrong())?, *name),
        _ => return Err(wrong()),
    };
    match name {
        "heartbeat" | "heartbeats" => Ok(Term::Heartbeats(count)),
        "failoverAfter" => Ok(Term::FailoverAfter(count)),
        "aloneAfter" => Ok(Term::AloneAfter(count)),
        "ttl" => Ok(Term::Ttl(count)),
        "renewal" | "renewals" => Ok(Term::Renewals(count)),
        _ => Err(wrong()),
    }
}

impl FromStr for Time {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let mut terms = Vec::new();
        let mut minus = false;
        let mut rest = text;
        loop {
            let end = rest.find(['+', '-']).unwrap_or(rest.len());
            let (this, after) = rest.split_at(end);
            terms.push((minus, term(this.trim())?));
            let Some(sign) = after.chars().next() else { return Ok(Self(terms)) };
            minus = sign == '-';
            rest = after.get(1..).unwrap_or("");
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (minus, term)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(if *minus { " - " } else { " + " })?;
            }
            let (count, name) = match term {
                Term::Plain(span) => {
                    write!(f, "{span}")?;
                    continue;
                }
                Term::Heartbeats(1) => (1, "heartbeat"),
                Term::Heartbeats(n) => (*n, "heartbeats"),
                Term::FailoverAfter(n) => (*n, "failoverAfter"),
                Term::AloneAfter(n) => (*n, "aloneAfter"),
                Term::Ttl(n) => (*n, "ttl"),
                Term::Renewals(1) => (1, "renewal"),
                Term::Renewals(n) => (*n, "renewals"),
            };
            if count == 1 {
                f.write_str(name)?;
            } else {
                write!(f, "{count} {name}")?;
            }
        }
        Ok(())
    }
}

/// A length of time that must not be exceeded: `<5s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit(pub Time);

impl FromStr for Limit {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        text.trim().strip_prefix('<').ok_or(TimeError::Limit)?.parse().map(Self)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.0)
    }
}

/// A length of time, or two between which it is drawn: `5m..2h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanRange {
    /// The shortest.
    pub least: Span,
    /// The longest.
    pub most: Span,
}

impl SpanRange {
    /// One of them, short times as often as long ones: each doubling of the shortest is as likely as the others.
    #[must_use]
    pub fn draw(&self, stream: &mut Stream) -> Span {
        let (least, most) = (self.least.ms().max(1), self.most.ms());
        let doublings = u64::from((most / least).max(1).ilog2()) + 1;
        let base = least.saturating_mul(1 << (stream.draw() % doublings));
        let drawn = base.saturating_add(stream.draw() % base.max(1));
        Span::from_ms(drawn.clamp(self.least.ms(), most))
    }
}

impl FromStr for SpanRange {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let span = |text: &str| text.trim().parse().map_err(|_| TimeError::Range);
        let range = Self { least: span(least)?, most: span(most)? };
        if range.least <= range.most { Ok(range) } else { Err(TimeError::Range) }
    }
}

impl fmt::Display for SpanRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            write!(f, "{}", self.least)
        } else {
            write!(f, "{}..{}", self.least, self.most)
        }
    }
}

/// Serde as the text that `Display` writes and `FromStr` reads.
macro_rules! text_form {
    ($type:ty, $name:literal, $pattern:expr, $description:literal) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "pattern": $pattern, "description": $description
                })
            }
        }
    };
}

/// One term of a sum, as a regular expression.
macro_rules! term_pattern {
    () => {
        "([0-9]+(ms|s|m|h|d)|([0-9]+ +)?(heartbeats?|failoverAfter|aloneAfter|ttl|renewals?))"
    };
}

text_form!(
    Time,
    "Time",
    concat!("^", term_pattern!(), "( *[+-] *", term_pattern!(), ")*$"),
    "a sum of durations and of the manifest's own: `30s + failoverAfter + 2 heartbeats`"
);
text_form!(
    Limit,
    "Limit",
    concat!("^< *", term_pattern!(), "( *[+-] *", term_pattern!(), ")*$"),
    "`<` and a time: `<5s`"
);
text_form!(
    SpanRange,
    "DurationRange",
    r"^[0-9]+(ms|s|m|h|d)(\.\.[0-9]+(ms|s|m|h|d))?$",
    "a duration, or two between which it is drawn: `5m..2h`"
);

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing {
        heartbeat: Span::from_ms(500),
        failover_after: Span::from_secs(3),
        alone_after: Span::from_ms(6180),
        ttl: Span::from_secs(300),
        renewal: Span::from_secs(100),
    };

    #[test]
    fn times_are_sums_of_durations_and_of_the_manifests_own() {
        for (text, ms) in [
            ("30s", 30_000),
            ("30s + failoverAfter + 2 heartbeats", 34_000),
            ("heartbeat", 500),
            ("2 failoverAfter - 1s", 5_000),
            ("1s-2s", 0),
            ("aloneAfter+ttl", 306_180),
        ] {
            let time: Time = text.parse().expect(text);
            assert_eq!(time.resolve(&TIMING).ms(), ms, "{text}");
            assert_eq!(time.to_string().parse(), Ok(time), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in ["", "30", "2 days", "failover", "1s +", "+ 1s", "a b c", "-1 heartbeats"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
        let error = "30s + 2 beats".parse::<Time>().expect_err("it is none").to_string();
        assert!(error.starts_with("`2 beats` is no time"), "{error}");
    }

    #[test]
    fn short_times_are_drawn_as_often_as_long_ones() {
        let range: SpanRange = "10s..640s".parse().expect("a range");
        let mut stream = Stream::named(1, "x");
        let drawn: Vec<Span> = (0..1000).map(|_| range.draw(&mut stream)).collect();
        assert!(drawn.iter().all(|span| (range.least..=range.most).contains(span)));
        let short = drawn.iter().filter(|span| **span < Span::from_secs(40)).count();
        assert!((200..400).contains(&short), "{short}");
        let one: SpanRange = "5s".parse().expect("a range");
        assert_eq!(one.draw(&mut stream), Span::from_secs(5));
    }

    #[test]
    fn limits_and_ranges_read() {
        assert_eq!("<5s".parse::<Limit>().map(|limit| limit.0.resolve(&TIMING).ms()), Ok(5_000));
        assert_eq!("5s".parse::<Limit>(), Err(TimeError::Limit));
        let range: SpanRange = "5m..2h".parse().expect("a range");
        assert_eq!((range.least, range.most), (Span::from_secs(300), Span::from_secs(7200)));
        assert_eq!("2h..5m".parse::<SpanRange>(), Err(TimeError::Range));
        assert_eq!("1s".parse::<SpanRange>().map(|range| range.to_string()), Ok("1s".to_owned()));
    }
}
