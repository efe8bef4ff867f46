//! The walker against a derived deserializer: whatever the walker accepts, both read alike. And no text makes it
//! panic, place a finding outside of the file, or find nothing in what it cannot read.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tandem::manifest::parse;
use tandem::manifest::types::Manifest;

/// Writes a value as YAML in one of many ways.
struct Writer<'c> {
    choices: std::iter::Cycle<std::slice::Iter<'c, u8>>,
    anchors: Vec<(Value, String)>,
}

impl Writer<'_> {
    fn choose(&mut self, of: u8) -> u8 {
        self.choices.next().copied().unwrap_or_default() % of
    }

    fn scalar(&mut self, value: &Value) -> String {
        let Value::String(text) = value else { return value.to_string() };
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/%".contains(c))
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
                .contains(&text.to_ascii_lowercase().as_str());
        let duration = text.starts_with(|c: char| c.is_ascii_digit())
            && text.ends_with(['s', 'm', 'h', 'd', '%'])
            && text.is_ascii();
        match self.choose(3) {
            0 if plain || duration => text.clone(),
            1 => format!("'{}'", text.replace('\'', "''")),
            _ => {
                let escape = |c: char| match c {
                    '"' | '\\' => format!("\\{c}"),
                    c if c.is_ascii_graphic() || c == ' ' => c.to_string(),
                    c if u32::from(c) > 0xffff => format!("\\U{:08x}", u32::from(c)),
                    c => format!("\\u{:04x}", u32::from(c)),
                };
                let escaped: String = text.chars().map(escape).collect();
                format!("\"{escaped}\"")
            }
        }
    }

    fn fields<'v>(&mut self, value: &'v Value) -> Vec<(&'v String, &'v Value)> {
        let mut fields: Vec<_> = value.as_object().expect("an object").iter().collect();
        let turn = usize::from(self.choose(8)) % fields.len().max(1);
        fields.rotate_left(turn);
        fields
    }

    fn flow(&mut self, value: &Value) -> String {
        match value {
            Value::Object(_) => {
                let fields = self.fields(value).into_iter();
                let fields: Vec<String> =
                    fields.map(|(key, value)| format!("{key}: {}", self.flow(value))).collect();
                format!("{{{}}}", fields.join(", "))
            }
            Value::Array(entries) => {
                let entries: Vec<String> = entries.iter().map(|entry| self.flow(entry)).collect();
                format!("[{}]", entries.join(", "))
            }
            scalar => self.scalar(scalar),
        }
    }

    /// What stands after a key's colon or a dash: in line, or on lines of its own.
    fn block(&mut self, value: &Value, indent: usize) -> String {
        let known = self.anchors.iter().find(|(known, _)| known == value);
        if let Some((_, name)) = known.cloned()
            && self.choose(2) == 0
        {
            return format!(" *{name}\n");
        }
        let collection = value.is_array() || value.is_object();
        let anchor = if collection && known_is_none(&self.anchors, value) && self.choose(4) == 0 {
            // It can be referred to from now on, but not from inside.
            Some(format!("a{}", self.anchors.len()))
        } else {
            None
        };
        let empty = value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty);
        let head = anchor.as_ref().map_or(String::new(), |name| format!(" &{name}"));
        let text = if !collection || empty || self.choose(3) == 0 {
            format!("{head} {}{}\n", self.flow(value), self.comment())
        } else {
            let margin = " ".repeat(indent);
            let mut text = format!("{head}{}\n", self.comment());
            if value.is_object() {
                for (key, value) in self.fields(value) {
                    text.push_str(&format!("{margin}{key}:{}", self.block(value, indent + 2)));
                }
            } else {
                for entry in value.as_array().expect("an array") {
                    text.push_str(&format!("{margin}-{}", self.block(entry, indent + 2)));
                }
            }
            text
        };
        if let Some(name) = anchor {
            self.anchors.push((value.clone(), name));
        }
        text
    }

    fn comment(&mut self) -> &'static str {
        match self.choose(12) {
            0 => " # a comment: [",
            1 => "\n\n  # another\n",
            _ => "",
        }
    }
}

fn known_is_none(anchors: &[(Value, String)], value: &Value) -> bool {
    !anchors.iter().any(|(known, _)| known == value)
}

/// A manifest as YAML; `choices` say how it is written.
fn yaml(manifest: &Value, choices: &[u8]) -> String {
    let mut writer = Writer { choices: choices.iter().cycle(), anchors: Vec::new() };
    let mut text = String::new();
    for (key, value) in writer.fields(manifest) {
        text.push_str(&format!("{key}:{}", writer.block(value, 2)));
    }
    match writer.choose(6) {
        0 => text.replace('\n', "\r\n"),
        1 => format!("\u{feff}{text}"),
        2 => format!("---\n{text}...\n"),
        _ => text,
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9][A-Za-z0-9._-]{0,8}",
        select(vec!["no", "1e3", "0777", "2026-01-31", "null"]).prop_map(str::to_owned)
    ]
}

fn free() -> impl Strategy<Value = String> {
    prop_oneof![
        name(),
        "[^*?\\p{C}\\u{2028}\\u{2029}]{1,6}",
        select(vec![
            " a ", "a: b", "a #b", "- a", "'", "\"", "\\", "漢字", "&a", "1:30", "~", "a\u{85}b"
        ])
        .prop_filter("no control characters", |text| !text.chars().any(char::is_control))
        .prop_map(str::to_owned),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![free(), free().prop_map(|text| format!("*{text}?")), Just("*".to_owned())]
}

fn range() -> impl Strategy<Value = String> {
    select(vec!["10.1.0.0/16", "10.1.2.3", "::1", "2001:db8::/32", "::ffff:10.0.0.1"])
        .prop_map(str::to_owned)
}

fn who() -> impl Strategy<Value = Value> {
    prop_oneof![
        pattern().prop_map(|user| json!({"user": user})),
        name().prop_map(|group| json!({"group": group})),
        pattern().prop_map(|host| json!({"host": host})),
        range().prop_map(|address| json!({"address": address})),
        Just(json!({"everyone": true})),
    ]
}

/// Some of these fields.
fn some(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let fields = fields.into_iter().map(|(name, value)| {
        proptest::option::of(value)
            .prop_map(move |value| value.map(|value| (name.to_owned(), value)))
    });
    let fields: Vec<_> = fields.collect();
    fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().collect())).boxed()
}

fn merged(left: Value, right: Value) -> Value {
    let (Value::Object(mut left), Value::Object(right)) = (left, right) else { return Value::Null };
    left.extend(right);
    Value::Object(left)
}

fn of(values: &[&'static str]) -> BoxedStrategy<Value> {
    select(values.to_vec()).prop_map(Value::from).boxed()
}

fn count() -> BoxedStrategy<Value> {
    prop_oneof![0_u32..9, Just(u32::MAX)].prop_map(Value::from).boxed()
}

const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqIWO9OrVsbP/pnYvGLplmJ5tDqA+QDYJ1w9wEGIhGc a b";
const PUBLIC_KEY: &str = "ed25519:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn assignment() -> impl Strategy<Value = Value> {
    let borrow = (of(&["7d", "90m", "1ms"]), count())
        .prop_map(|(longest, max)| json!({"longest": longest, "max": max}));
    let limits = some(vec![
        ("reserve", Just(json!(0)).boxed()),
        ("max", count()),
        ("maxPerUser", count()),
        ("maxPerAddress", count()),
        ("priority", (-100_i32..=100).prop_map(Value::from).boxed()),
        ("borrow", borrow.boxed()),
    ]);
    (who(), limits).prop_map(|(who, limits)| merged(who, limits))
}

fn list(of: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    proptest::collection::vec(of, 0..4).prop_map(Value::from).boxed()
}

fn server(role: &'static str) -> impl Strategy<Value = Value> {
    let required = (name(), of(&["127.0.0.1", "::1", "lic-a.example", "host_1"]), 1_u16..)
        .prop_map(move |(name, address, port)| {
            json!({"name": name, "role": role, "address": address, "port": port})
        });
    let optional = some(vec![
        ("licenses", list(of(&["licenses/*.primary.alf", "a b/c#.alf", "é.alf"]))),
        ("key", of(&[PUBLIC_KEY])),
    ]);
    (required, optional).prop_map(|(required, optional)| merged(required, optional))
}

/// A manifest of valid shape, as JSON.
fn manifest() -> impl Strategy<Value = Value> {
    let member = prop_oneof![
        free().prop_map(Value::from),
        pattern().prop_map(|host| json!({"host": host})),
        range().prop_map(|address| json!({"address": address})),
    ];
    let user = (free(), proptest::option::of(of(&[SSH_KEY]))).prop_map(|(name, key)| match key {
        Some(key) => json!({"name": name, "key": key}),
        None => json!({"name": name}),
    });
    let group = (name(), some(vec![("members", list(member)), ("membersFrom", of(&["a/b.txt"]))]))
        .prop_map(|(name, rest)| merged(json!({"name": name}), rest));
    let seats = (
        name(),
        some(vec![
            ("ttl", of(&["5m", "24h", "1d"])),
            ("assign", list(assignment())),
            ("deny", list(who())),
        ]),
    )
        .prop_map(|(product, rest)| merged(json!({"product": product}), rest));
    let limit = || some(vec![("share", of(&["0%", "33%", "100%"])), ("floor", count())]);
    let required = (name(), server("primary"), server("secondary"), list(seats)).prop_map(
        |(name, primary, secondary, seats)| {
            json!({
                "apiVersion": "tandem/v1", "kind": "LicensePair", "metadata": {"name": name},
                "servers": [primary, secondary], "seats": seats,
            })
        },
    );
    let trust =
        some(vec![("vendors", list(of(&[PUBLIC_KEY]))), ("operators", list(of(&[SSH_KEY])))]);
    let redundancy = some(vec![
        ("mode", of(&["mirror", "escrow"])),
        ("heartbeat", of(&["50ms", "500ms", "750ms"])),
        ("failoverAfter", of(&["3s", "3000ms", "2m"])),
        ("onOverGrant", of(&["drain", "revoke"])),
        ("escrow", some(vec![("secondaryShare", of(&["0%", "20%", "7%"]))])),
    ]);
    let safety = some(vec![
        ("maxRevoked", limit()),
        ("maxRemoved", limit()),
        ("requireCommitted", any::<bool>().prop_map(Value::from).boxed()),
    ]);
    let optional = some(vec![
        ("trust", trust),
        ("redundancy", redundancy),
        ("leases", some(vec![("ttl", of(&["5m", "300s", "1h"]))])),
        ("visibility", of(&["operators", "open"])),
        ("safety", safety),
        ("users", list(user)),
        ("usersFrom", of(&["people.yaml"])),
        ("groups", list(group)),
    ]);
    (required, optional).prop_map(|(required, optional)| merged(required, optional))
}

/// All files in a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_examples_are_read_as_the_derive_reads_them() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut manifests = 0;
    for file in files(&root.join("examples")) {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if file.extension().is_none_or(|kind| kind != "yaml") || !text.contains("LicensePair") {
            continue;
        }
        let (parsed, findings) = parse("tandem.yaml", text.as_bytes());
        assert!(findings.is_empty(), "{} has {findings:?}", file.display());
        let derived: Manifest = serde_yaml::from_str(&text).expect("the derive reads it");
        same(&parsed.expect("a manifest").manifest, &derived);
        manifests += 1;
    }
    assert!(manifests > 0);
}

/// Both readers' values, with the spelling of names.
fn same(walker: &Manifest, derived: &Manifest) {
    assert_eq!(walker, derived);
    let spelled = |manifest| serde_json::to_string(manifest).expect("JSON");
    assert_eq!(spelled(walker), spelled(derived));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_valid_is_read_as_the_derive_reads_it(
        manifest in manifest(),
        choices in proptest::collection::vec(any::<u8>(), 1..64),
    ) {
        let text = yaml(&manifest, &choices);
        let (parsed, findings) = parse("tandem.yaml", text.as_bytes());
        prop_assert!(findings.is_empty(), "{text}\n{findings:?}");
        let walker = parsed.expect("a manifest").manifest;
        let derived: Manifest = serde_yaml::from_str(&text).expect("the derive reads it");
        same(&walker, &derived);
        let direct: Manifest = serde_json::from_value(manifest).expect("the derive reads JSON");
        same(&walker, &direct);
    }

    #[test]
    fn what_is_spoiled_is_found_or_read_alike(
        manifest in manifest(),
        choices in proptest::collection::vec(any::<u8>(), 1..64),
        spoils in proptest::collection::vec((any::<u16>(), 0_u8..5, 0_usize..24), 1..4),
    ) {
        const BITS: [&str; 24] = [
            "no", "1e3", "0777", "~", "null", "*", "&a", "*a0", "<<", "!!str ", "\t", "\n", "- ", ": ", "#", "'", "\"",
            "{", "]", ",", "---\n", "%", "\u{feff}", "\u{0}",
        ];
        let mut text: Vec<char> = yaml(&manifest, &choices).chars().collect();
        for (at, how, bit) in spoils {
            let at = usize::from(at) % text.len().max(1);
            let line_end = text.iter().skip(at).position(|c| *c == '\n').map_or(text.len(), |n| at + n);
            match how {
                0 => drop(text.splice(at..at, BITS[bit].chars())),
                1 => drop(text.splice(at..(at + 1).min(text.len()), BITS[bit].chars())),
                2 => drop(text.splice(at..line_end, [])),
                3 => text.truncate(at),
                _ => {
                    let line: Vec<char> = text[at..line_end].to_vec();
                    text.splice(at..at, line);
                }
            }
        }
        let text: String = text.into_iter().collect();
        let (parsed, findings) = parse("tandem.yaml", text.as_bytes());
        let lines = u32::try_from(text.split(['\n', '\r']).count()).expect("a short text");
        for finding in &findings {
            let place = finding.place.expect("a place");
            prop_assert!(place.line >= 1 && place.column >= 1 && place.end_line <= lines);
            prop_assert!((place.line, place.column) <= (place.end_line, place.end_column));
        }
        if findings.is_empty() {
            let walker = parsed.expect("a manifest").manifest;
            let derived: Manifest = serde_yaml::from_str(&text).expect("the derive reads it");
            same(&walker, &derived);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (parsed, findings) = parse("tandem.yaml", &bytes);
        prop_assert!(parsed.is_none() || !findings.is_empty());
    }
}
