//! What a vendor does: issue license files. Knows licenses and a signing key, nothing of manifests or servers.

pub mod issue;
