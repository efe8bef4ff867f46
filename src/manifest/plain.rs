//! What YAML readers take a text without quotes for. The rules of YAML 1.1 and 1.2 together: where one of them reads
//! something else than a text, people and tools disagree, so a manifest wants quotes there.

/// What some YAML reader takes this text for, if not for a text: `a boolean`, `a number`, `a date`, `nothing`.
pub(crate) fn reads_as(text: &str) -> Option<&'static str> {
    if is_null(text) {
        Some("nothing")
    } else if is_boolean(text) {
        Some("a boolean")
    } else if is_number(text) {
        Some("a number")
    } else if is_date(text) {
        Some("a date")
    } else {
        None
    }
}

/// Whether it is the null of YAML.
pub(crate) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn is_boolean(text: &str) -> bool {
    let lower = ["true", "false", "yes", "no", "on", "off", "y", "n"];
    let Some(word) = lower.into_iter().find(|word| word.eq_ignore_ascii_case(text)) else {
        return false;
    };
    // `true`, `True` and `TRUE`, but not `tRUE`.
    let rest_is = |check: fn(&u8) -> bool| text.bytes().skip(1).all(|b| check(&b));
    text == word
        || (text.starts_with(|c: char| c.is_ascii_uppercase())
            && (rest_is(u8::is_ascii_lowercase) || rest_is(u8::is_ascii_uppercase)))
}

/// An integer in decimal digits as every reader has it: no sign but `-`, no leading zero, nothing between.
pub(crate) fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits == "0"
        || (!digits.starts_with('0')
            && !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let digits = |text: &str, digit: fn(&u8) -> bool| {
        text.bytes().any(|b| digit(&b)) && text.bytes().all(|b| b == b'_' || digit(&b))
    };
    let octal = |b: &u8| matches!(b, b'0'..=b'7');
    let binary = |b: &u8| matches!(b, b'0' | b'1');
    if let Some(rest) = unsigned.strip_prefix("0x") {
        return digits(rest, u8::is_ascii_hexdigit);
    }
    if let Some(rest) = unsigned.strip_prefix("0o") {
        return digits(rest, octal);
    }
    if let Some(rest) = unsigned.strip_prefix("0b") {
        return digits(rest, binary);
    }
    is_sexagesimal(unsigned) || is_float(unsigned)
}

/// Digits with an optional fraction and exponent, `_` between.
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    });
    let mut points = 0;
    let body = mantissa.bytes().all(|b| {
        points += usize::from(b == b'.');
        b.is_ascii_digit() || matches!(b, b'.' | b'_')
    });
    let begins = mantissa.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    exponent_ok && body && points <= 1 && begins && mantissa.bytes().any(|b| b.is_ascii_digit())
}

/// `1:30` and `12:30:45.5`, which YAML 1.1 counts in sixties.
fn is_sexagesimal(unsigned: &str) -> bool {
    let mut parts = unsigned.split(':');
    let first = parts.next().unwrap_or_default();
    let mut rest = parts.peekable();
    if !first.starts_with(|c: char| c.is_ascii_digit())
        || !first.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        || rest.peek().is_none()
    {
        return false;
    }
    while let Some(part) = rest.next() {
        let whole = match part.split_once('.') {
            Some((whole, fraction)) if rest.peek().is_none() => {
                if !fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
                    return false;
                }
                whole
            }
            _ => part,
        };
        let digits = whole.bytes().all(|b| b.is_ascii_digit());
        if !digits || !matches!(whole.len(), 1 | 2) || whole.parse().is_ok_and(|n: u8| n > 59) {
            return false;
        }
    }
    true
}

/// `2026-01-31`, with a time or without.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut digits = |least: usize, most: usize, last: bool| {
        let part = parts.next().unwrap_or_default();
        let count = part.bytes().take_while(u8::is_ascii_digit).count();
        let after = part.as_bytes().get(count);
        let ends = after.is_none() || (last && matches!(after, Some(b'T' | b't' | b' ' | b'\t')));
        (least..=most).contains(&count) && ends
    };
    digits(4, 4, false) && digits(1, 2, false) && digits(1, 2, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_some_reader_takes_for_something_else_is_known() {
        for (kind, texts) in [
            ("nothing", &["", "~", "null", "Null", "NULL"][..]),
            (
                "a boolean",
                &["no", "No", "NO", "yes", "on", "OFF", "off", "true", "False", "TRUE", "y", "N"],
            ),
            (
                "a number",
                &[
                    "0",
                    "5",
                    "-5",
                    "+5",
                    "0777",
                    "0o7",
                    "0x1F",
                    "0b101",
                    "1_000",
                    "1e3",
                    "1E-3",
                    "1.5",
                    ".5",
                    "5.",
                    "1.5e+3",
                    ".inf",
                    "-.Inf",
                    "+.INF",
                    ".nan",
                    "1:30",
                    "-12:30:45",
                    "190:20:30.15",
                    "08",
                ],
            ),
            ("a date", &["2026-01-31", "2026-1-3", "2026-01-31T12:00:00Z", "2026-01-31 12:00:00"]),
        ] {
            for text in texts {
                assert_eq!(reads_as(text), Some(kind), "{text}");
            }
        }
    }

    #[test]
    fn ordinary_texts_are_texts() {
        for text in [
            "ana",
            "nO",
            "tRUE",
            "127.0.0.1",
            "10.1.0.0/16",
            "1.2.3",
            "5m",
            "33%",
            "e3",
            "1e",
            "0xg",
            "_1",
            "1:99",
            "a:1",
            "::1",
            "1:2:fe",
            "2026-01",
            "2026-01-31-a",
            "26-01-31",
            "tandem/v1",
            "-",
            "+",
            ".",
            "0o8",
            "nullx",
            "Infinity",
            "NaN",
        ] {
            assert_eq!(reads_as(text), None, "{text}");
        }
    }

    #[test]
    fn integers_have_digits_alone() {
        for text in ["0", "5", "-5", "4820"] {
            assert!(is_decimal(text), "{text}");
        }
        for text in ["", "-", "+5", "05", "-05", "1_000", "1e3", "0x1", "5 ", "1.0", "5m", "٣"] {
            assert!(!is_decimal(text), "{text}");
        }
    }
}
