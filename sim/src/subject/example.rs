//! `examples/studio`, compiled in: what is simulated where no manifest is named.

use tandem::manifest::sources::FileFault;
use tandem::repository::{Kind, Tree};

/// How findings and reports name it.
pub(super) const NAME: &str = "examples/studio/tandem.yaml";

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../examples/studio/", $path)))),*]
    };
}

/// Every file of the example, by path.
const FILES: &[(&str, &str)] = files![
    "groups/contractors.txt",
    "licenses/designer.primary.alf",
    "licenses/designer.secondary.alf",
    "licenses/viewer.primary.alf",
    "licenses/viewer.secondary.alf",
    "tandem.yaml",
];

/// The example as a tree of files.
pub(super) struct Example;

impl Tree for Example {
    fn names(&self, folder: &str) -> Result<Vec<(String, Kind)>, FileFault> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let below = FILES.iter().filter_map(|(path, _)| path.strip_prefix(&prefix));
        let mut names: Vec<(String, Kind)> = below
            .map(|rest| match rest.split_once('/') {
                Some((folder, _)) => (folder.to_owned(), Kind::Folder),
                None => (rest.to_owned(), Kind::File),
            })
            .collect();
        names.dedup();
        if names.is_empty() { Err(FileFault::Missing) } else { Ok(names) }
    }

    fn expect(&self, _: &[String]) {}

    fn read(&self, path: &str, _: u64) -> Result<Vec<u8>, FileFault> {
        let file = FILES.iter().find(|(name, _)| *name == path);
        file.map(|(_, text)| text.as_bytes().to_vec()).ok_or(FileFault::Missing)
    }
}
