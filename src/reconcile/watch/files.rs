//! Wakes a watcher when something may have changed in the folders it looks at.
//!
//! Folders, never files: editors rename, git replaces, Kubernetes swaps a link, and a watch on a file misses all but
//! the first. Only a hint: events are lost (NFS, full queues), so whoever waits here also looks at intervals.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// Watches folders.
pub struct Folders {
    /// Absent where the system cannot watch: looking at intervals is left.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
}

impl Folders {
    /// Watches nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let changed = Arc::new(Notify::new());
        let wake = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is no change; we read them ourselves.
            if !matches!(&event, Ok(event) if event.kind.is_access()) {
                wake.notify_one();
            }
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "cannot watch files: looking at intervals"))
            .ok();
        Self { watcher, watched: BTreeSet::new(), changed }
    }

    /// From now on these folders are watched, and no others.
    pub fn watch(&mut self, folders: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeSet<PathBuf> = folders.iter().cloned().collect();
        for gone in self.watched.difference(&wanted) {
            // It may be gone already.
            drop(watcher.unwatch(gone));
        }
        let mut watched: BTreeSet<PathBuf> = self.watched.intersection(&wanted).cloned().collect();
        for folder in wanted.difference(&self.watched) {
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(folder.clone())),
                Err(error) => {
                    tracing::debug!(folder = %folder.display(), %error, "cannot watch a folder");
                }
            }
        }
        self.watched = watched;
    }

    /// Watches these folders anew: one that was replaced by another of its name is seen again.
    pub fn rewatch(&mut self) {
        let folders: Vec<PathBuf> = std::mem::take(&mut self.watched).into_iter().collect();
        if let Some(watcher) = &mut self.watcher {
            for folder in &folders {
                drop(watcher.unwatch(folder));
            }
        }
        self.watch(&folders);
    }

    /// Waits until something may have changed since the last time.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether this folder is watched.
    #[must_use]
    pub fn watches(&self, folder: &Path) -> bool {
        self.watched.contains(folder)
    }
}

impl Default for Folders {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_replaced_by_renaming_is_seen_every_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tandem.yaml");
        std::fs::write(&path, "0").expect("written");
        let mut folders = Folders::new();
        folders.watch(&[folder.path().to_owned()]);
        if !folders.watches(folder.path()) {
            return;
        }
        for number in 1..4 {
            let new = folder.path().join("new");
            std::fs::write(&new, number.to_string()).expect("written");
            std::fs::rename(&new, &path).expect("renamed");
            folders.changed().await;
            while std::fs::read_to_string(&path).expect("read") != number.to_string() {
                folders.changed().await;
            }
        }
    }
}
