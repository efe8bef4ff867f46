//! One case: a manifest with what lies around it, all of it in memory, and what is found. Licenses are signed here by
//! hand, so that they can be wrong in every way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use tandem::manifest::check::{Circumstances, Running};
use tandem::manifest::finding::{Finding, Place, Severity};
use tandem::manifest::sources::FileFault;
use tandem::name::LicenseId;
use tandem::repository::{GitError, Kind, Survey, Tree, read_from};

/// What every case begins with.
const NOW: &str = "2026-06-01T00:00:00Z";
const OPERATOR: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqIWO9OrVsbP/pnYvGLplmJ5tDqA+QDYJ1w9wEGIhGc ana";

/// A case as it is gathered from its blocks.
#[derive(Debug, Default)]
pub(crate) struct Case {
    yaml: String,
    files: BTreeMap<String, Vec<u8>>,
    settings: BTreeMap<String, String>,
}

impl Case {
    /// Takes a block: its kind, what stands after it, its text. False if there is no such kind.
    pub(crate) fn take(&mut self, kind: &str, name: &str, text: &str) -> bool {
        match kind {
            "yaml" if name == "whole" => self.yaml = text.to_owned(),
            "yaml" => self.yaml = completed(text),
            "file" => drop(self.files.insert(name.to_owned(), text.into())),
            "license" => {
                let blocks: String = text.lines().map(license).collect();
                self.files.insert(name.to_owned(), blocks.into());
            }
            "when" => {
                let pairs = text.lines().filter_map(|line| line.split_once(": "));
                self.settings.extend(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
            }
            _ => return false,
        }
        true
    }

    /// What is wrong with the shape alone.
    pub(crate) fn shape(&self) -> Vec<Finding> {
        tandem::manifest::parse("tandem.yaml", self.yaml.as_bytes()).1
    }

    /// Everything that is wrong.
    pub(crate) fn all(mut self) -> Vec<Finding> {
        for (name, role) in [("p.alf", "primary"), ("s.alf", "secondary")] {
            let usual = || license(&json!({"role": role}).to_string()).into();
            self.files.entry(name.to_owned()).or_insert_with(usual);
        }
        if !self.yaml.is_empty() {
            self.files.insert("tandem.yaml".to_owned(), self.yaml.clone().into());
        }
        let loaded = read_from(&self, "tandem.yaml", "tandem.yaml");
        let setting = |name: &str| self.settings.get(name).map(String::as_str);
        let running: BTreeSet<LicenseId> = setting("running")
            .into_iter()
            .map(|id| LicenseId::new(id).expect("a license's id"))
            .collect();
        let circumstances = Circumstances {
            running: Running::Licenses(&running),
            expiring_within: setting("expiring within").map(|text| text.parse().expect("a span")),
            signer: setting("signer"),
            ..Circumstances::at(setting("now").unwrap_or(NOW).parse().expect("a time"))
        };
        let survey = Survey {
            secrets: setting("secret").into_iter().map(str::to_owned).collect(),
            schema: setting("schema").map(|text| text.as_bytes().to_vec()),
            git: setting("git").map(|text| GitError::Refused(text.to_owned())),
        };
        loaded.check(&survey, &circumstances).findings
    }
}

impl Tree for Case {
    fn names(&self, folder: &str) -> Result<Vec<(String, Kind)>, FileFault> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut names = BTreeMap::new();
        for rest in self.files.keys().filter_map(|path| path.strip_prefix(&prefix)) {
            match rest.split_once('/') {
                Some((name, _)) => names.insert(name.to_owned(), Kind::Folder),
                None => names.insert(rest.to_owned(), Kind::File),
            };
        }
        if names.is_empty() { Err(FileFault::Missing) } else { Ok(names.into_iter().collect()) }
    }

    fn expect(&self, _: &[String]) {}

    fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, FileFault> {
        let bytes = self.files.get(path).ok_or(FileFault::Missing)?;
        if bytes == b"a folder\n" {
            return Err(FileFault::NotRegular("a folder"));
        }
        let size = u64::try_from(bytes.len()).expect("a short file");
        if size > max { Err(FileFault::TooLarge(max)) } else { Ok(bytes.clone()) }
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// A key as manifests and licenses write it.
pub(crate) fn written(seed: u8) -> String {
    format!("ed25519:{}", STANDARD.encode(key(seed).verifying_key().as_bytes()))
}

/// A license file's block from a line of JSON, which says what is unlike the usual license. `labeled` is the role
/// that the label says, `signedBy` the number of the key that signs, and `SERVER` and `VENDOR` stand for keys.
fn license(line: &str) -> String {
    let line = line.replace("SERVER", &written(2)).replace("VENDOR", &written(1));
    let edits: Value = serde_json::from_str(&line).expect("a license is an object of JSON");
    let mut license = json!({
        "id": "L-1", "product": "designer", "seats": 10, "role": "primary", "vendor": written(1),
        "issued": "2026-01-01T00:00:00.000Z", "notBefore": "2026-01-01T00:00:00.000Z",
    });
    let fields = license.as_object_mut().expect("an object");
    fields.extend(edits.as_object().expect("an object").clone());
    let labeled = fields.remove("labeled").unwrap_or_else(|| fields["role"].clone());
    let signer = fields.remove("signedBy").and_then(|seed| seed.as_u64()).unwrap_or(1);
    let payload = serde_json::to_vec(&license).expect("JSON");
    let role = license["role"].as_str().expect("a role");
    let message = [b"tandem license v1\0", role.as_bytes(), b"\0", &payload].concat();
    let signature = key(u8::try_from(signer).expect("a small number")).sign(&message);
    let bytes = [&signature.to_bytes()[..], &payload].concat();
    let label = format!("TANDEM {} LICENSE", labeled.as_str().expect("a role").to_uppercase());
    let encoded = STANDARD.encode(bytes);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in encoded.as_bytes().chunks(64) {
        let _ = writeln!(text, "{}", str::from_utf8(line).expect("base64"));
    }
    let _ = writeln!(text, "-----END {label}-----");
    text
}

/// The YAML and what else a valid manifest has.
pub(crate) fn completed(yaml: &str) -> String {
    let trust = format!("trust: {{vendors: [\"{}\"], operators: [\"{OPERATOR}\"]}}\n", written(1));
    let fields = [
        ("apiVersion", "apiVersion: tandem/v1\n"),
        ("kind", "kind: LicensePair\n"),
        ("metadata", "metadata: {name: studio-west}\n"),
        (
            "servers",
            "servers:\n\
             - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [p.alf]}\n\
             - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821, licenses: [s.alf]}\n",
        ),
        ("trust", &trust),
        ("seats", "seats: [{product: designer, assign: [{everyone: true}]}]\n"),
    ];
    let mut text = yaml.replace("SERVER", &written(2)).replace("VENDOR", &written(1));
    for (name, field) in fields {
        let given = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
        if !yaml.lines().any(given) {
            text.push_str(field);
        }
    }
    text
}

/// Findings, two lines each: place, code and message; advice. Another file than the manifest is named.
pub(crate) fn shown(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { code, severity, file, place, message, help, .. } in findings {
        if file != "tandem.yaml" {
            let _ = write!(text, "{file} ");
        }
        let _ = match place {
            None => write!(text, "-"),
            Some(Place { line, column, end_line, end_column }) if line == end_line => {
                write!(text, "{line}:{column}-{end_column}")
            }
            Some(Place { line, column, end_line, end_column }) => {
                write!(text, "{line}:{column}-{end_line}:{end_column}")
            }
        };
        let unusual = match severity {
            _ if *severity == code.severity => "",
            Severity::Error => " (an error)",
            Severity::Warning => " (a warning)",
        };
        let _ = writeln!(text, " {code}{unusual}: {message}\n  help: {help}");
    }
    text
}
