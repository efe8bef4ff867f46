//! Strict JSON: what others send or sign is read here.
//!
//! Duplicate keys are refused at every level, nesting deeper than [`DEPTH_MAX`] is refused, and `null` is refused
//! where a format has no place for it. A lenient reader would let two programs read one text in two ways.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep arrays and objects may nest.
pub const DEPTH_MAX: usize = 32;

/// What is done with `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// It is refused wherever it stands: licenses, bundles, statements.
    Refused,
    /// It is a value like any other.
    Accepted,
}

/// Why a text is not the JSON that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The bytes are not text.
    #[error("is not UTF-8 text")]
    NotUtf8,
    /// The text is not JSON.
    #[error("is not JSON: {problem}")]
    Syntax {
        /// What is wrong and where, in the reader's words.
        problem: String,
    },
    /// An object has a key twice.
    #[error("has the key `{key}` twice in one object")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// There is a `null` where none may be.
    #[error("has a `null`: leave the field out instead")]
    Null,
    /// Arrays and objects nest too deep.
    #[error("nests deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// It is JSON, but not of the shape that was asked for.
    #[error("has the wrong shape: {problem}")]
    Shape {
        /// What is wrong, in the reader's words.
        problem: String,
    },
}

/// Reads one JSON document with nothing after it but white space.
///
/// # Errors
/// The bytes are not UTF-8 or not JSON, a key stands twice, the nesting is too deep, or a `null` is refused.
pub fn value(bytes: &[u8], nulls: Nulls) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    let refused = RefCell::new(None);
    let strict = Strict { refused: &refused, nulls, depth_left: DEPTH_MAX };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = strict.deserialize(&mut deserializer).and_then(|value| {
        deserializer.end()?;
        Ok(value)
    });
    read.map_err(|error| {
        refused
            .borrow_mut()
            .take()
            .unwrap_or_else(|| JsonError::Syntax { problem: error.to_string() })
    })
}

/// Reads one JSON object as a value of a type: fields have names, so an array is refused where a type could be read
/// from one by position. Whether unknown fields are refused is the type's own say
/// (`deny_unknown_fields`).
///
/// # Errors
/// As [`value`], or the document has another shape than the type.
pub fn read<T: DeserializeOwned>(bytes: &[u8], nulls: Nulls) -> Result<T, JsonError> {
    let value = value(bytes, nulls)?;
    if !value.is_object() {
        return Err(JsonError::Shape { problem: "it must be a JSON object".to_owned() });
    }
    serde_json::from_value(value).map_err(|error| JsonError::Shape { problem: error.to_string() })
}

/// Reads a value of any kind, strictly. What it refuses is left in `refused`, because the deserializer's own
/// error is only text.
#[derive(Clone, Copy)]
struct Strict<'a> {
    refused: &'a RefCell<Option<JsonError>>,
    nulls: Nulls,
    depth_left: usize,
}

impl Strict<'_> {
    fn refuse<E: serde::de::Error>(&self, why: JsonError) -> E {
        let error = E::custom(&why);
        *self.refused.borrow_mut() = Some(why);
        error
    }

    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..*self }),
            None => Err(self.refuse(JsonError::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        match self.nulls {
            Nulls::Refused => Err(self.refuse(JsonError::Null)),
            Nulls::Accepted => Ok(Value::Null),
        }
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(deeper)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(self.refuse(JsonError::DuplicateKey { key }));
            }
            let item = entries.next_value_seed(deeper)?;
            map.insert(key, item);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(text: &str) -> Result<Value, JsonError> {
        value(text.as_bytes(), Nulls::Refused)
    }

    #[test]
    fn an_array_is_no_object_read_by_position() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Pair {
            a: u8,
            b: u8,
        }
        assert_eq!(read::<Pair>(br#"{"a":1,"b":2}"#, Nulls::Refused), Ok(Pair { a: 1, b: 2 }));
        let refused = read::<Pair>(b"[1,2]", Nulls::Refused);
        assert!(matches!(refused, Err(JsonError::Shape { .. })), "{refused:?}");
    }

    #[test]
    fn a_plain_document_reads_as_serde_json_reads_it() {
        let text = r#"{"a":[1,-2,3.5,"ä\n",true,{}],"b":{"c":[]}}"#;
        assert_eq!(strict(text), Ok(serde_json::from_str(text).expect("JSON")));
    }

    #[test]
    fn duplicate_keys_are_refused_at_every_level_and_however_they_are_spelled() {
        let twice = |key: &str| Err(JsonError::DuplicateKey { key: key.to_owned() });
        assert_eq!(strict(r#"{"a":1,"a":1}"#), twice("a"));
        assert_eq!(strict(r#"[{"b":{"a":1,"\u0061":2}}]"#), twice("a"));
    }

    #[test]
    fn null_is_refused_only_where_told() {
        assert_eq!(strict(r#"{"a":[null]}"#), Err(JsonError::Null));
        assert!(value(b"null", Nulls::Accepted).is_ok());
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(strict(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(strict(&nested(DEPTH_MAX + 1)), Err(JsonError::TooDeep));
        assert_eq!(strict(&"{\"a\":".repeat(100_000)), Err(JsonError::TooDeep));
    }

    #[test]
    fn what_follows_the_document_is_refused() {
        assert!(matches!(strict("{} {}"), Err(JsonError::Syntax { .. })));
        assert!(matches!(strict(""), Err(JsonError::Syntax { .. })));
        assert_eq!(value(b"\"\xff\"", Nulls::Refused), Err(JsonError::NotUtf8));
    }

    #[test]
    fn another_shape_is_named() {
        let shape = read::<u32>(b"\"x\"", Nulls::Refused);
        assert!(matches!(shape, Err(JsonError::Shape { .. })), "{shape:?}");
    }
}
