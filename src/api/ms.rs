//! A span as whole milliseconds: for fields whose names end in `Ms`.

use serde::{Deserialize as _, Deserializer, Serializer};

use crate::measure::Span;

/// Writes the milliseconds.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(span.ms())
}

/// Reads milliseconds.
///
/// # Errors
/// The value is no whole number of milliseconds.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    u64::deserialize(deserializer).map(Span::from_ms)
}

/// The same for a span that may be absent: use with `default` and `skip_serializing_if`.
pub mod option {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::measure::Span;

    /// Writes the milliseconds, or `null`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(span: &Option<Span>, serializer: S) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => serializer.serialize_some(&span.ms()),
            None => serializer.serialize_none(),
        }
    }

    /// Reads milliseconds, or `null`.
    ///
    /// # Errors
    /// The value is no whole number of milliseconds.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Span>, D::Error> {
        Option::<u64>::deserialize(deserializer).map(|ms| ms.map(Span::from_ms))
    }
}
