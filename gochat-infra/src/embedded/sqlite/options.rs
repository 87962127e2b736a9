//! How the file is opened.

use std::path::PathBuf;
use std::time::Duration;

use crate::embedded::disk::DiskGuard;

/// When a committed write is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Synchronous {
    /// Before it is answered: survives power loss. The default.
    #[default]
    Full,
    /// At the next checkpoint: survives a killed process, not power loss. Never corrupts the file.
    Normal,
}

/// Options of [`SqliteDatabase`](super::SqliteDatabase).
///
/// ```
/// use gochat_infra::embedded::sqlite::SqliteOptions;
/// let options = SqliteOptions { readers: 2, ..SqliteOptions::new("gochat-data/gochat.db") };
/// assert_eq!(options.write_queue, 1_024);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The database file; its folder must exist. Beside it SQLite keeps `-wal` and `-shm`.
    pub path: PathBuf,
    /// When a committed write is on the disk.
    pub synchronous: Synchronous,
    /// Threads and connections for reading.
    pub readers: usize,
    /// Writes that may wait; beyond it callers wait for room.
    pub write_queue: usize,
    /// Reads that may wait; beyond it callers wait for room.
    pub read_queue: usize,
    /// Rows one commit takes at most from waiting writes. More rows per commit cost fewer syncs
    /// and let the first of them wait longer.
    pub commit_rows: usize,
    /// How long a statement waits for another process that holds the file.
    pub busy_timeout: Duration,
    /// Page cache of the writing connection, KiB; a reading one has a quarter of it.
    pub cache_kib: u32,
    /// Pages in the write-ahead log at which it is copied into the file. A longer log saves
    /// writes (a page that changed often is copied once) and costs disk and start-up time.
    pub checkpoint_pages: u32,
    /// Bytes per page of a file that is created now; a power of two from 512 to 65,536.
    pub page_size: u32,
    /// Refuses new accounts, conversations and requests while the disk is full. Default: none.
    pub disk: Option<DiskGuard>,
}

impl SqliteOptions {
    /// Defaults for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::Full,
            readers: 4,
            write_queue: 1_024,
            read_queue: 1_024,
            commit_rows: 16_384,
            busy_timeout: Duration::from_secs(5),
            cache_kib: 64 * 1024,
            checkpoint_pages: 16_000,
            page_size: 4_096,
            disk: None,
        }
    }
}
