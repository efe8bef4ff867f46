//! The bundle: a manifest with its lists resolved and the license files of both roles, in one canonical form whose
//! hash names a configuration (formats.md, "Bundle").
//!
//! Two texts that configure the same are one bundle, byte for byte. It must not know where it came from: that is the
//! statement's. [`Config`] is a bundle compiled for serving.

mod canonical;
mod config;
#[cfg(test)]
pub(crate) mod fixture;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::entitlement::UnknownGroup;
use crate::json::{self, JsonError, Nulls};
use crate::license::Rejection;
use crate::manifest::types::{ApiVersion, Manifest};
use crate::name::{BundleHash, LicenseId, ProductName, ServerName};

pub use config::{Config, Product};

/// The most bytes a bundle may have.
pub const BUNDLE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most license files a bundle may have.
pub const LICENSE_FILES_MAX: usize = 1_000;

/// A configuration in canonical form. Cheap to clone.
#[derive(Clone)]
pub struct Bundle(Arc<Inner>);

struct Inner {
    bytes: Arc<[u8]>,
    hash: BundleHash,
    manifest: Manifest,
    licenses: Vec<BundleLicense>,
}

/// A license file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleLicense {
    /// The server it is for.
    pub server: ServerName,
    /// Its path from the manifest's folder, with `/`.
    pub file: String,
    /// Its blocks, armored anew and sorted by license id.
    pub pem: String,
}

/// A bundle as it is encoded.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form<M, L> {
    api_version: ApiVersion,
    manifest: M,
    licenses: L,
}

/// Why there is no bundle of this, or why it cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It is too large.
    #[error("the bundle has {bytes} bytes, and {BUNDLE_BYTES_MAX} are the most")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// It has too many license files.
    #[error("the bundle has {files} license files, and {LICENSE_FILES_MAX} are the most")]
    TooManyFiles {
        /// How many it has.
        files: usize,
    },
    /// The bytes are not the JSON of a bundle.
    #[error("the bundle {0}")]
    Json(#[from] JsonError),
    /// The bytes are a bundle, but written in another way than the canonical one.
    #[error("the bundle is not in canonical form: encoded anew it has other bytes")]
    NotCanonical,
    /// A list file is still named instead of resolved.
    #[error("`{field}` names a file whose content is not in the bundle")]
    Unresolved {
        /// The field: `usersFrom`, or `membersFrom` of a group.
        field: String,
    },
    /// A license file has a path that is not a relative path downwards.
    #[error(
        "the license file `{file}` of `{server}` is not a relative path with `/` and without `..`"
    )]
    Path {
        /// The server.
        server: ServerName,
        /// The path.
        file: String,
    },
    /// A license file is there twice.
    #[error("the license file `{file}` of `{server}` is there twice with different content")]
    FileTwice {
        /// The server.
        server: ServerName,
        /// The path.
        file: String,
    },
    /// A license file is for a server that the manifest does not have.
    #[error("the license file `{file}` is for `{server}`, which is not a server of the pair")]
    UnknownServer {
        /// The server.
        server: ServerName,
        /// The path.
        file: String,
    },
    /// A license file is refused.
    #[error("`{file}` of `{server}` {rejection}")]
    License {
        /// The server it is for.
        server: ServerName,
        /// The path.
        file: String,
        /// Why.
        rejection: Box<Rejection>,
    },
    /// The manifest has not exactly one server of each role, with different names.
    #[error("a pair has one primary and one secondary server with different names")]
    Servers,
    /// The manifest has a product twice.
    #[error("the product `{product}` is there twice in `seats`")]
    ProductTwice {
        /// The product.
        product: ProductName,
    },
    /// An entry of a product names a group that is not there.
    #[error("the seats of `{product}` cannot be given: {unknown}")]
    UnknownGroup {
        /// The product.
        product: ProductName,
        /// The group.
        unknown: UnknownGroup,
    },
    /// The licenses of a product disagree about what makes two checkouts one seat.
    #[error("the licenses `{one}` and `{other}` of `{product}` disagree about `share`")]
    ShareDisagrees {
        /// The product.
        product: ProductName,
        /// One license.
        one: LicenseId,
        /// One that says something else.
        other: LicenseId,
    },
}

impl Bundle {
    /// Makes the bundle of a manifest and the license files of both servers: (server, path from the manifest's
    /// folder, text of the file). Order, spelling of durations, defaults and armor do not matter.
    ///
    /// # Errors
    /// A list is not resolved, a license file is no license file, is for an unknown server or has a path that leads
    /// elsewhere, or there is too much of it. Whether the licenses verify is [`Config::compile`]'s say.
    pub fn build(
        manifest: &Manifest,
        licenses: Vec<(ServerName, String, Vec<u8>)>,
    ) -> Result<Self, BundleError> {
        let manifest = canonical::manifest(manifest)?;
        if licenses.len() > LICENSE_FILES_MAX {
            return Err(BundleError::TooManyFiles { files: licenses.len() });
        }
        let licenses = canonical::licenses(&manifest, licenses)?;
        let bytes = encode(&manifest, &licenses);
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLarge { bytes: bytes.len() });
        }
        let hash = BundleHash::of(&bytes);
        Ok(Self(Arc::new(Inner { bytes: bytes.into(), hash, manifest, licenses })))
    }

    /// Reads a bundle's canonical bytes.
    ///
    /// # Errors
    /// The bytes are too many, or not exactly those that [`Bundle::build`] makes.
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLarge { bytes: bytes.len() });
        }
        let form: Form<Manifest, Vec<BundleLicense>> = json::read(bytes, Nulls::Refused)?;
        let licenses = form.licenses.into_iter();
        let licenses = licenses.map(|one| (one.server, one.file, one.pem.into_bytes())).collect();
        let bundle = Self::build(&form.manifest, licenses)?;
        if bundle.bytes() == bytes { Ok(bundle) } else { Err(BundleError::NotCanonical) }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The hash of the canonical bytes.
    #[must_use]
    pub fn hash(&self) -> BundleHash {
        self.0.hash
    }

    /// The manifest in canonical form: lists resolved and sorted, no paths of licenses.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The license files of both servers.
    #[must_use]
    pub fn licenses(&self) -> &[BundleLicense] {
        &self.0.licenses
    }
}

impl PartialEq for Bundle {
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

impl Eq for Bundle {}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Bundle").field(&self.hash()).finish()
    }
}

fn encode(manifest: &Manifest, licenses: &[BundleLicense]) -> Vec<u8> {
    let form = Form { api_version: ApiVersion::V1, manifest, licenses };
    #[expect(clippy::expect_used, reason = "texts, integers and booleans always serialize")]
    serde_json_canonicalizer::to_vec(&form).expect("a bundle serializes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fixture::{self, MANIFEST};
    use super::*;

    #[test]
    fn a_bundle_is_canonical_json() {
        let bundle = fixture::bundle(MANIFEST);
        let text = String::from_utf8(bundle.bytes().to_vec()).expect("UTF-8");
        let text = fixture::without_pem(&text);
        insta::assert_snapshot!(text, @r#"{"apiVersion":"tandem/v1","licenses":[{"file":"licenses/designer.primary.alf","pem":"...","server":"lic-a"},{"file":"licenses/designer.secondary.alf","pem":"...","server":"lic-b"}],"manifest":{"apiVersion":"tandem/v1","groups":[{"members":["ana","bo",{"host":"ws-*"}],"name":"hardware"}],"kind":"LicensePair","metadata":{"name":"studio-west"},"seats":[{"assign":[{"group":"hardware","reserve":2},{"everyone":true}],"deny":[{"user":"guest-*"}],"product":"designer"},{"assign":[{"everyone":true}],"product":"viewer","ttl":"1h"}],"servers":[{"address":"127.0.0.1","name":"lic-a","port":4820,"role":"primary"},{"address":"127.0.0.1","name":"lic-b","port":4821,"role":"secondary"}],"trust":{"vendors":["ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="]},"users":[{"name":"ana"},{"name":"bo"}]}}"#);
    }

    #[test]
    fn what_is_decoded_is_what_was_built() {
        let built = fixture::bundle(MANIFEST);
        let read = Bundle::decode(built.bytes()).expect("canonical");
        assert_eq!(read.bytes(), built.bytes());
        assert_eq!(read.licenses(), built.licenses());
        assert_eq!(read.manifest(), built.manifest());
    }

    #[test]
    fn one_configuration_written_twice_is_one_bundle() {
        let other = MANIFEST
            .replace("ttl: 5m", "ttl: 300s")
            .replace("[ana, bo, {host: 'ws-*'}]", "[{host: 'ws-*'}, bo, ana, bo]")
            .replace("[{name: ana}, {name: bo}]", "[{name: bo}, {name: ana}]")
            .replace("redundancy: {}", "redundancy: {mode: mirror, heartbeat: 500ms}");
        assert_ne!(other, MANIFEST);
        assert_eq!(fixture::bundle(MANIFEST).hash(), fixture::bundle(&other).hash());
    }

    #[test]
    fn order_in_assign_and_spelling_of_names_make_another_bundle() {
        let base = fixture::bundle(MANIFEST);
        for (from, to) in [
            (
                "[{group: hardware, reserve: 2}, {everyone: true}]",
                "[{everyone: true}, {group: hardware, reserve: 2}]",
            ),
            ("{name: ana}", "{name: Ana}"),
        ] {
            let other = MANIFEST.replace(from, to);
            assert_ne!(other, MANIFEST);
            assert_ne!(base.hash(), fixture::bundle(&other).hash());
        }
    }

    #[test]
    fn line_ends_and_text_around_license_blocks_do_not_matter() {
        let manifest = fixture::manifest(MANIFEST);
        let files = fixture::license_files();
        let noisy = files.iter().rev().map(|(server, file, text)| {
            let text = String::from_utf8(text.clone()).expect("UTF-8").replace('\n', "\r\n");
            (server.clone(), file.clone(), format!("Thank you!\r\n{text}Bye").into_bytes())
        });
        let noisy = Bundle::build(&manifest, noisy.collect()).expect("a bundle");
        assert_eq!(noisy.hash(), fixture::bundle(MANIFEST).hash());
    }

    #[test]
    fn bytes_that_are_not_canonical_are_refused() {
        let text = String::from_utf8(fixture::bundle(MANIFEST).bytes().to_vec()).expect("UTF-8");
        let refused = |from: &str, to: &str| {
            let edited = text.replacen(from, to, 1);
            assert_ne!(edited, text, "{from} is there");
            Bundle::decode(edited.as_bytes()).expect_err("refused")
        };
        assert_eq!(refused("{", "{ "), BundleError::NotCanonical);
        assert_eq!(refused("\"1h\"", "\"60m\""), BundleError::NotCanonical);
        assert_eq!(
            refused("\"role\":\"primary\"", "\"licenses\":[\"x\"],\"role\":\"primary\""),
            BundleError::NotCanonical
        );
        assert_eq!(refused("{\"name\":\"bo\"}", "{\"name\":\"ana\"}"), BundleError::NotCanonical);
        assert!(matches!(
            refused("{", "{\"apiVersion\":\"tandem/v1\","),
            BundleError::Json(JsonError::DuplicateKey { .. })
        ));
        assert!(matches!(
            refused("{", "{\"extra\":1,"),
            BundleError::Json(JsonError::Shape { .. })
        ));
        assert_eq!(
            refused("\"users\":", "\"usersFrom\":\"list\",\"users\":"),
            BundleError::Unresolved { field: "usersFrom".to_owned() }
        );
    }

    #[test]
    fn paths_of_license_files_lead_downwards() {
        let manifest = fixture::manifest(MANIFEST);
        let (server, _, text) = fixture::license_files().remove(0);
        for file in ["/etc/x", "../x", "a/../x", "a\\x", "c:x", "", "a//x", "a/", "a\nb", "./x"] {
            let files = vec![(server.clone(), file.to_owned(), text.clone())];
            let refused = BundleError::Path { server: server.clone(), file: file.to_owned() };
            assert_eq!(Bundle::build(&manifest, files), Err(refused));
        }
    }

    #[test]
    fn a_license_for_a_stranger_is_refused() {
        let manifest = fixture::manifest(MANIFEST);
        let (_, file, text) = fixture::license_files().remove(0);
        let server = ServerName::new("lic-z").expect("a valid name");
        let refused = BundleError::UnknownServer { server: server.clone(), file: file.clone() };
        assert_eq!(Bundle::build(&manifest, vec![(server, file, text)]), Err(refused));
    }

    fn turn<T>(list: &mut [T], by: usize) {
        list.rotate_left(by % list.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_edited_byte_never_decodes_to_the_same_bundle(at: prop::sample::Index, byte: u8) {
            let bundle = fixture::bundle(MANIFEST);
            let mut bytes = bundle.bytes().to_vec();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            if let Ok(other) = Bundle::decode(&bytes) {
                prop_assert_eq!(other.bytes(), &bytes[..]);
                prop_assert_ne!(other.hash(), bundle.hash());
            }
        }

        #[test]
        fn the_order_of_a_list_does_not_matter(seed in 0_usize..7) {
            let mut manifest = fixture::manifest(MANIFEST);
            turn(&mut manifest.users, seed);
            turn(&mut manifest.seats, seed);
            turn(&mut manifest.servers, seed);
            turn(&mut manifest.groups, seed);
            let bundle = Bundle::build(&manifest, fixture::license_files()).expect("a bundle");
            prop_assert_eq!(bundle.hash(), fixture::bundle(MANIFEST).hash());
        }
    }
}
