//! redb's storage over one file of the disk seam.

use std::io;
use std::sync::Arc;

use crate::seam::disk::Medium;

/// A file that redb keeps a database in.
#[derive(Debug)]
pub(super) struct Backend(pub(super) Arc<dyn Medium>);

impl redb::StorageBackend for Backend {
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
