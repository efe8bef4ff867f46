//! Forms of texts that the types keep as they are written: paths, a server's address, SSH public keys.
//!
//! Each says what is wrong with one text. The walker asks while it reads a manifest, `limits` when it judges values.

/// What is wrong with the form of a path in a manifest, as the end of a sentence: it must be relative and stay
/// inside the repository.
#[must_use]
pub fn path_problem(file: &str) -> Option<&'static str> {
    let drive = file.as_bytes().get(1) == Some(&b':')
        && file.starts_with(|c: char| c.is_ascii_alphabetic());
    if file.is_empty() {
        Some("is empty")
    } else if file.starts_with('/') {
        Some("is absolute")
    } else if drive {
        Some("has a drive")
    } else if file.contains('\\') {
        Some("has backslashes")
    } else if file.chars().any(char::is_control) {
        Some("has control characters")
    } else if file.split('/').any(|part| part == "..") {
        Some("leads out of its folder with `..`")
    } else if file.split('/').any(str::is_empty) {
        Some("has an empty part")
    } else {
        None
    }
}

/// What to do about a path that is none.
pub(super) const PATH_HELP: &str =
    "write a path from the manifest's folder, with `/` between its parts";

/// What to do about a server's address that is no host name and no IP address.
pub(super) fn address_problem(address: &str) -> Option<&'static str> {
    if address.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    if address.contains("://") || address.contains('/') {
        return Some("write the host's name alone, with no `http://` and no path");
    }
    if address.starts_with('[') {
        return Some("write the IPv6 address without brackets");
    }
    if address.contains(':') {
        return Some("write the port into the field `port`");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = address.len() <= 253 && address.split('.').all(label);
    // What ends in a number is read as an IPv4 address by resolvers, and is none.
    let last = address.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|b| b.is_ascii_digit());
    if name && !numeric { None } else { Some("write a host name or an IP address") }
}

/// What is wrong with a text as an SSH public key. Never quotes it: it may be a secret one.
pub(super) fn ssh_key_problem(text: &str) -> Option<&'static str> {
    if text.contains("PRIVATE KEY") {
        return Some("this is a secret key: remove it from the repository and make a new one");
    }
    match ssh_key::PublicKey::from_openssh(text) {
        Ok(key) if key.algorithm() == ssh_key::Algorithm::Ed25519 => None,
        Ok(_) => Some("this SSH key is of another type than `ssh-ed25519`"),
        Err(_) => Some("this is no SSH public key of type `ssh-ed25519`"),
    }
}

/// What to do about a key that is none.
pub(super) const SSH_KEY_HELP: &str =
    "copy the whole line of the `.pub` file: `ssh-ed25519 AAAA… comment`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_and_stay_inside() {
        for file in ["a.alf", "licenses/*.primary.alf", "./a", "a b/é.alf", "a..b", "..."] {
            assert_eq!(path_problem(file), None, "{file}");
        }
        for file in ["", "/a", "C:/a", "c:a", "a\\b", "../a", "a/../b", "a//b", "a/", "a\n", "a\0"]
        {
            assert!(path_problem(file).is_some(), "{file}");
        }
    }

    #[test]
    fn addresses_are_host_names_or_ip_addresses() {
        for address in ["127.0.0.1", "::1", "fe80::1", "lic-a", "lic_a.example.org", "3com.example"]
        {
            assert_eq!(address_problem(address), None, "{address}");
        }
        let long = format!("{}.x", "a".repeat(64));
        for address in [
            "",
            "127.0.0",
            "1.2.3.256",
            "lic-a:4820",
            "http://lic-a",
            "[::1]",
            "a..b",
            "-a",
            "a b",
            "ä",
            &long,
        ] {
            assert!(address_problem(address).is_some(), "{address}");
        }
    }

    #[test]
    fn ssh_keys_are_ed25519_and_a_secret_one_is_not_quoted() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqIWO9OrVsbP/pnYvGLplmJ5tDqA+QDYJ1w9wEGIhGc";
        assert_eq!(ssh_key_problem(key), None);
        assert_eq!(ssh_key_problem(&format!("{key} ana@studio")), None);
        let secret = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk=\n-----END OPENSSH PRIVATE KEY-----";
        for text in ["", "ana", "ssh-rsa AAAAB3NzaC1yc2E ana", "ssh-ed25519 AAAA ana", secret] {
            let wrong = ssh_key_problem(text).expect("a problem");
            assert!(!wrong.contains("b3Blb"));
        }
    }
}
