//! A simulated disk: what a server wrote, what of it would survive a power cut, and every way to lose the rest.
//!
//! It keeps each file twice, as the running system sees it and as the medium holds it. It knows nothing of what is
//! stored. The disk may lose un-synced sectors in any combination, never synced ones.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem::seam::disk::{Disk, Medium};

use crate::seed::Choices;

/// Bytes that a medium writes as one.
const SECTOR: usize = 512;

/// The `errno` of a full disk.
const ENOSPC: i32 = 28;

/// The `errno` of a medium that fails.
const EIO: i32 = 5;

/// A disk of one machine. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<File>,
    /// The directory as the running system sees it.
    names: BTreeMap<String, usize>,
    /// The directory as the medium holds it.
    durable_names: BTreeMap<String, usize>,
    /// Changes of the directory since it was last synced, in order: a file system journals them so.
    changes: Vec<Change>,
    off: bool,
    /// Handles of an earlier process, or of one before the power cut, are dead.
    era: u64,
    operations: u64,
    off_at: Option<u64>,
    failing_syncs: u64,
    lies: bool,
    capacity: Option<u64>,
    stalled: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Create(String, usize),
    Rename(String, String),
}

/// A file, as seen and as kept.
#[derive(Clone, Debug, Default)]
struct File {
    seen: Vec<u8>,
    kept: Vec<u8>,
    /// The sectors that are not synced, as ranges in the order of their writing: some may come twice.
    dirty: Vec<Range<usize>>,
    last_write: Option<(usize, usize)>,
    /// The shortest that the file was since it was last synced: what lay behind is gone, though it grew again.
    cut_to: Option<usize>,
}

impl File {
    fn resize(&mut self, len: usize) {
        if len < self.seen.len() {
            self.cut_to = Some(self.cut_to.map_or(len, |cut| cut.min(len)));
            let left = len.div_ceil(SECTOR);
            self.dirty.iter_mut().for_each(|range| range.end = range.end.min(left));
            self.dirty.retain(|range| !range.is_empty());
        }
        self.seen.resize(len, 0);
    }

    /// The file's length reaches the medium.
    fn keep_len(&mut self) {
        if let Some(cut) = self.cut_to.take() {
            self.kept.truncate(cut);
        }
        self.kept.resize(self.seen.len(), 0);
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.seen.len() < end {
            self.seen.resize(end, 0);
        }
        self.seen[offset..end].copy_from_slice(bytes);
        if end > offset {
            self.dirty.push(offset / SECTOR..end.div_ceil(SECTOR));
        }
        self.last_write = Some((offset, end));
    }

    fn sync(&mut self) {
        self.keep_len();
        for range in std::mem::take(&mut self.dirty) {
            self.keep(range.start, range.len() * SECTOR);
        }
        self.last_write = None;
    }

    /// The first `count` bytes from a sector on reach the medium.
    fn keep(&mut self, sector: usize, count: usize) {
        let start = sector * SECTOR;
        let end = (start + count).min(self.seen.len()).min(self.kept.len());
        if start < end {
            self.kept[start..end].copy_from_slice(&self.seen[start..end]);
        }
    }

    /// Drops what was not synced.
    fn forget(&mut self) {
        self.seen.clone_from(&self.kept);
        self.dirty.clear();
        self.cut_to = None;
        self.last_write = None;
    }

    /// Drops what was not synced, but for what `choices` lets survive.
    fn lose(&mut self, choices: &mut Choices) {
        let resized = self.kept.len() != self.seen.len() || self.cut_to.is_some();
        if resized && choices.choose("length-survives", 2) == 1 {
            self.keep_len();
        }
        // The write in progress may stop in the middle of a sector.
        let torn = self.last_write.map(|(start, end)| {
            let sectors = start / SECTOR..end.div_ceil(SECTOR);
            let at = choices.choose("torn-at", sectors.len() as u64);
            (sectors.start + usize::try_from(at).unwrap_or(0), end)
        });
        let dirty: BTreeSet<usize> =
            std::mem::take(&mut self.dirty).into_iter().flatten().collect();
        for sector in dirty {
            if choices.choose("sector-survives", 2) == 0 {
                continue;
            }
            let count = match torn {
                Some((at, _)) if at == sector => choices.choose("torn-after", SECTOR as u64 + 1),
                _ => SECTOR as u64,
            };
            self.keep(sector, usize::try_from(count).unwrap_or(SECTOR));
        }
        self.forget();
    }
}

impl State {
    /// Counts an operation; says whether the power goes off in it.
    fn begin(&mut self, era: u64) -> io::Result<bool> {
        if self.off || era != self.era {
            return Err(no_power());
        }
        self.operations += 1;
        Ok(self.off_at.is_some_and(|at| self.operations >= at))
    }

    /// The operation is done, unless the power went off in it.
    fn end(&mut self, off: bool) -> io::Result<()> {
        if off {
            self.off = true;
            self.off_at = None;
            return Err(no_power());
        }
        Ok(())
    }

    fn room(&self, file: usize, len: u64) -> io::Result<()> {
        let Some(capacity) = self.capacity else { return Ok(()) };
        let others: u64 = self
            .files
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != file)
            .map(|(_, f)| f.seen.len() as u64)
            .sum();
        let grows = self.files.get(file).is_none_or(|f| len > f.seen.len() as u64);
        if grows && others.saturating_add(len) > capacity {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    }
}

fn no_power() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}

fn size(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

impl SimDisk {
    /// An empty disk with power.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations that change something were done so far (reads are free).
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Cuts the power: every operation fails until [`SimDisk::power_on`].
    pub fn power_off(&self) {
        self.state().off = true;
    }

    /// Cuts the power in the `n`-th operation from now (1 is the next one).
    pub fn power_off_in(&self, n: u64) {
        let mut state = self.state();
        state.off_at = Some(state.operations.saturating_add(n));
    }

    /// Whether the disk has no power.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Gives power back. Of what was not synced, what `choices` lets survive is there; handles of before are dead.
    pub fn power_on(&self, choices: &mut Choices) {
        let mut state = self.state();
        for file in &mut state.files {
            file.lose(choices);
        }
        let changes = std::mem::take(&mut state.changes);
        let survive = choices.choose("directory-changes", changes.len() as u64 + 1);
        let mut names = state.durable_names.clone();
        for change in changes.into_iter().take(usize::try_from(survive).unwrap_or(0)) {
            apply(&mut names, change);
        }
        state.names.clone_from(&names);
        state.durable_names = names;
        state.off = false;
        state.off_at = None;
        state.era += 1;
    }

    /// The process that used the disk is gone; what it wrote stays in the system's cache. Its handles are dead.
    pub fn detach(&self) {
        self.state().era += 1;
    }

    /// Another disk with the same content, as seen and as kept, and in good order.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state =
            State { failing_syncs: 0, capacity: None, off_at: None, ..self.state().clone() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Puts an empty disk in its place.
    pub fn replace(&self) {
        let mut state = self.state();
        *state = State { era: state.era + 1, operations: state.operations, ..State::default() };
    }

    /// The next `n` syncs fail, and the system drops the pages: what they should have written is lost, and read back
    /// as it was before.
    pub fn fail_syncs(&self, n: u64) {
        self.state().failing_syncs = n;
    }

    /// A disk that says it has synced and has not. No promise holds on one: it shows that the oracles would see.
    pub fn ignore_syncs(&self, yes: bool) {
        self.state().lies = yes;
    }

    /// The disk holds so many bytes in all (`None`: any number); more is refused as out of space.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Says whether a write that is finished is reported: a stalled disk takes its time.
    pub fn set_stalled(&self, yes: bool) {
        self.state().stalled = yes;
    }

    /// Whether the disk is stalled: who waits for a write goes on waiting.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.state().stalled
    }

    /// The names in the directory, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    fn handle(&self, file: usize, era: u64) -> Arc<dyn Medium> {
        Arc::new(Handle { disk: self.clone(), file, era })
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: Change) {
    match change {
        Change::Create(name, file) => {
            names.insert(name, file);
        }
        Change::Rename(from, to) => {
            if let Some(file) = names.remove(&from) {
                names.insert(to, file);
            }
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn Medium>>> {
        let state = self.state();
        if state.off {
            return Err(no_power());
        }
        Ok(state.names.get(name).map(|file| self.handle(*file, state.era)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Medium>> {
        let mut state = self.state();
        let era = state.era;
        let off = state.begin(era)?;
        let file = match state.names.get(name).copied() {
            // As `open` with truncation does: the same file, emptied, un-synced.
            Some(file) => {
                if let Some(file) = state.files.get_mut(file) {
                    file.resize(0);
                }
                file
            }
            None => {
                let file = state.files.len();
                state.files.push(File::default());
                state.names.insert(name.to_owned(), file);
                state.changes.push(Change::Create(name.to_owned(), file));
                file
            }
        };
        state.end(off)?;
        Ok(self.handle(file, era))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let era = state.era;
        let off = state.begin(era)?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let change = Change::Rename(from.to_owned(), to.to_owned());
        apply(&mut state.names, change.clone());
        state.changes.push(change);
        state.end(off)?;
        // The directory is synced as an operation of its own: the power may go off between the two.
        let off = state.begin(era)?;
        state.end(off)?;
        if !state.lies {
            state.changes.clear();
            let names = state.names.clone();
            state.durable_names = names;
        }
        Ok(())
    }
}

/// An open file of a simulated disk.
#[derive(Debug)]
struct Handle {
    disk: SimDisk,
    file: usize,
    era: u64,
}

impl Handle {
    fn change<T>(&self, change: impl FnOnce(&mut State, usize) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        let off = state.begin(self.era)?;
        let done = change(&mut state, self.file)?;
        state.end(off)?;
        Ok(done)
    }

    fn look<T>(&self, look: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let state = self.disk.state();
        if state.off || self.era != state.era {
            return Err(no_power());
        }
        state.files.get(self.file).map_or_else(|| Err(no_power()), look)
    }
}

impl Medium for Handle {
    fn len(&self) -> io::Result<u64> {
        self.look(|file| Ok(file.seen.len() as u64))
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.look(|file| {
            let start = size(offset)?;
            let from = file.seen.get(start..start.saturating_add(bytes.len()));
            bytes.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|state, at| {
            let start = size(offset)?;
            let end = offset.saturating_add(bytes.len() as u64);
            state.room(at, end)?;
            if let Some(file) = state.files.get_mut(at) {
                file.write(start, bytes);
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|state, at| {
            state.room(at, len)?;
            let len = size(len)?;
            if let Some(file) = state.files.get_mut(at) {
                file.resize(len);
            }
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        // A power cut inside a sync leaves any part of it written: it decides at power on.
        let off = state.begin(self.era)?;
        state.end(off)?;
        let fails = state.failing_syncs > 0;
        state.failing_syncs = state.failing_syncs.saturating_sub(1);
        let lies = state.lies;
        let Some(file) = state.files.get_mut(self.file) else { return Err(no_power()) };
        if fails {
            file.forget();
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if !lies {
            file.sync();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycle(disk: &SimDisk, seed: u64) {
        disk.power_off();
        disk.power_on(&mut Choices::from_seed(seed));
    }

    fn made(disk: &SimDisk) -> Arc<dyn Medium> {
        let file = disk.create("new").expect("a disk with power");
        disk.rename("new", "a").expect("a disk with power");
        file
    }

    fn contents(disk: &SimDisk) -> Vec<u8> {
        let file = disk.open("a").expect("power").expect("the file is there");
        let len = file.len().expect("power");
        let mut bytes = vec![0; usize::try_from(len).expect("a small file")];
        file.read(0, &mut bytes).expect("power");
        bytes
    }

    #[test]
    fn synced_bytes_survive_every_power_cut() {
        for seed in 0..50 {
            let disk = SimDisk::new();
            let file = made(&disk);
            file.write(0, &[1; 2000]).expect("power");
            file.sync().expect("power");
            file.write(512, &[2; 512]).expect("power");
            cycle(&disk, seed);
            let bytes = contents(&disk);
            assert_eq!(bytes.len(), 2000);
            assert!(bytes[..512].iter().chain(&bytes[1024..]).all(|b| *b == 1));
        }
    }

    #[test]
    fn unsynced_sectors_survive_in_any_combination() {
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let disk = SimDisk::new();
            let file = made(&disk);
            file.write(0, &[1; 1536]).expect("power");
            file.sync().expect("power");
            for sector in 0..3 {
                file.write(sector * 512, &[2; 512]).expect("power");
            }
            cycle(&disk, seed);
            let bytes = contents(&disk);
            seen.insert([0, 512, 1024].map(|at| bytes[at]));
        }
        assert_eq!(seen.len(), 8);
    }

    #[test]
    fn the_last_write_can_stop_inside_a_sector() {
        let torn = (0..200).any(|seed| {
            let disk = SimDisk::new();
            let file = made(&disk);
            file.write(0, &[1; 512]).expect("power");
            file.sync().expect("power");
            file.write(0, &[2; 512]).expect("power");
            cycle(&disk, seed);
            let bytes = contents(&disk);
            bytes[0] == 2 && bytes[511] == 1
        });
        assert!(torn);
    }

    #[test]
    fn a_name_lasts_only_after_the_directory_was_synced() {
        let kept = |seed| {
            let disk = SimDisk::new();
            let file = disk.create("a").expect("power");
            file.write(0, b"x").expect("power");
            file.sync().expect("power");
            cycle(&disk, seed);
            disk.open("a").expect("power").is_some()
        };
        assert!((0..20).any(kept) && !(0..20).all(kept));

        // Between the rename and the sync of the directory either name may be found, never none.
        let mut found = BTreeSet::new();
        for seed in 0..40 {
            let disk = SimDisk::new();
            let file = made(&disk);
            file.write(0, b"x").expect("power");
            file.sync().expect("power");
            disk.power_off_in(2);
            assert!(disk.rename("a", "b").is_err());
            disk.power_on(&mut Choices::from_seed(seed));
            found.insert(disk.names());
        }
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [["a"], ["b"]]);
    }

    #[test]
    fn what_was_cut_off_does_not_come_back_when_the_file_grows_again() {
        for seed in 0..20 {
            let disk = SimDisk::new();
            let file = made(&disk);
            file.write(0, &[1; 2000]).expect("power");
            file.sync().expect("power");
            file.set_len(0).expect("power");
            file.set_len(2000).expect("power");
            file.sync().expect("power");
            cycle(&disk, seed);
            assert_eq!(contents(&disk), [0; 2000]);
        }
    }

    #[test]
    fn a_failed_sync_loses_what_it_should_have_written() {
        let disk = SimDisk::new();
        let file = made(&disk);
        file.write(0, b"old").expect("power");
        file.sync().expect("power");
        file.write(0, b"new").expect("power");
        disk.fail_syncs(1);
        assert!(file.sync().is_err());
        assert_eq!(contents(&disk), b"old");
        file.sync().expect("the next one says that all is well");
        cycle(&disk, 1);
        assert_eq!(contents(&disk), b"old");
    }

    #[test]
    fn a_full_disk_says_so_and_keeps_what_it_has() {
        let disk = SimDisk::new();
        let file = made(&disk);
        disk.set_capacity(Some(1000));
        file.write(0, &[1; 1000]).expect("it fits");
        let error = file.write(1000, &[1]).expect_err("it does not fit");
        assert_eq!(error.raw_os_error(), Some(ENOSPC));
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        file.write(10, &[2; 10]).expect("overwriting needs no room");
        assert_eq!(contents(&disk).len(), 1000);
    }

    #[test]
    fn handles_die_with_the_power_with_the_process_and_with_the_disk() {
        let disk = SimDisk::new();
        let file = made(&disk);
        file.write(0, b"x").expect("power");
        disk.detach();
        assert!(file.write(0, b"y").is_err());
        assert_eq!(contents(&disk), b"x");
        cycle(&disk, 1);
        assert!(file.len().is_err());
        disk.replace();
        assert!(disk.names().is_empty());
    }

    mod redb_on_it {
        use super::*;
        use redb::{
            Database, ReadableDatabase as _, ReadableTable as _, StorageBackend, TableDefinition,
        };

        const TABLE: TableDefinition<'_, u64, u64> = TableDefinition::new("t");

        #[derive(Debug)]
        struct Backend(Arc<dyn Medium>);

        impl StorageBackend for Backend {
            fn len(&self) -> io::Result<u64> {
                self.0.len()
            }
            fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
                self.0.read(offset, out)
            }
            fn set_len(&self, len: u64) -> io::Result<()> {
                self.0.set_len(len)
            }
            fn sync_data(&self) -> io::Result<()> {
                self.0.sync()
            }
            fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
                self.0.write(offset, data)
            }
        }

        fn open(disk: &SimDisk) -> Result<Database, Box<dyn std::error::Error>> {
            let builder = Database::builder();
            if let Some(file) = disk.open("db")? {
                return Ok(builder.create_with_backend(Backend(file))?);
            }
            // A database cut off inside its first creation never opens again: make it under another name.
            drop(builder.create_with_backend(Backend(disk.create("db.new")?))?);
            disk.rename("db.new", "db")?;
            let file = disk.open("db")?.ok_or("renamed, and gone")?;
            Ok(builder.create_with_backend(Backend(file))?)
        }

        /// Commits 0, 1, 2, ... each in a transaction of its own; says how many were acknowledged.
        fn commits(disk: &SimDisk, count: u64) -> u64 {
            let Ok(database) = open(disk) else { return 0 };
            for n in 0..count {
                let committed = || -> Result<(), Box<dyn std::error::Error>> {
                    let transaction = database.begin_write()?;
                    transaction.open_table(TABLE)?.insert(n, n * n)?;
                    Ok(transaction.commit()?)
                };
                if committed().is_err() {
                    return n;
                }
            }
            count
        }

        fn found(disk: &SimDisk) -> u64 {
            let database = open(disk).expect("a database opens after every power cut");
            let transaction = database.begin_read().expect("it can be read");
            let Ok(table) = transaction.open_table(TABLE) else { return 0 };
            for (at, row) in table.iter().expect("it can be read").enumerate() {
                let (key, value) = row.expect("it can be read");
                assert_eq!((key.value(), value.value()), (at as u64, (at * at) as u64));
            }
            redb::ReadableTableMetadata::len(&table).expect("it can be read")
        }

        #[test]
        fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
            let whole = SimDisk::new();
            assert_eq!(commits(&whole, 8), 8);
            for at in 1..=whole.operations() {
                for seed in 0..4 {
                    let disk = SimDisk::new();
                    disk.power_off_in(at);
                    let acknowledged = commits(&disk, 8);
                    disk.power_off();
                    disk.power_on(&mut Choices::from_seed(seed * 1000 + at));
                    let found = found(&disk);
                    assert!(
                        found >= acknowledged && found <= acknowledged + 1,
                        "{found} found of {acknowledged}, power cut at {at}, seed {seed}"
                    );
                }
            }
        }

        #[test]
        fn a_disk_that_ignores_syncs_loses_acknowledged_commits() {
            let lost = (0..20).any(|seed| {
                let disk = SimDisk::new();
                assert_eq!(commits(&disk, 1), 1);
                disk.ignore_syncs(true);
                assert_eq!(commits(&disk, 8), 8);
                disk.power_off();
                disk.power_on(&mut Choices::from_seed(seed));
                match std::panic::catch_unwind(|| found(&disk)) {
                    Ok(found) => found < 8,
                    Err(_) => true,
                }
            });
            assert!(lost);
        }
    }
}
