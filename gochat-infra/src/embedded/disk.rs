//! Room on the disk of the data folder: a full disk is a state, not a crash.
//!
//! Below a watermark the embedded log takes no new messages and the database no new accounts,
//! conversations and requests; both are refused with a retryable error. What is left is for what
//! was acknowledged already: sequencing, rows, read pointers, sessions. Reading needs no room.
//! Above the watermark everything goes on by itself.
//!
//! A file of ballast is given up when even that room is gone, so that the process can start, and be
//! read, on a disk that others have filled to the last byte.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gochat_core::error::{Error, ErrorCode};
use rustix::fs::FallocateFlags;
use tokio_util::sync::CancellationToken;

/// The free room is looked at most once in this time on the way of a message.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often the watch looks, whether messages come or not.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Most bytes that are kept free by default.
const KEEP_MAX: u64 = 256 << 20;
/// Fewest bytes that are kept free by default.
const KEEP_MIN: u64 = 1 << 20;
/// Most bytes of the ballast.
const BALLAST_MAX: u64 = 4 << 20;
/// Fewest bytes of the ballast.
const BALLAST_MIN: u64 = 256 << 10;
/// Name of the ballast in the data folder.
const BALLAST: &str = "ballast";

/// What a client is told.
pub(crate) const REFUSAL: &str = "The server's disk is full. Reading works; new messages and accounts are taken again once there is room.";

/// Watches the free room of one file system. Cheap to clone.
#[derive(Clone)]
pub struct DiskGuard(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    min_free: Option<u64>,
    started: Instant,
    /// Milliseconds since `started` of the last look.
    looked_ms: AtomicU64,
    is_low: AtomicBool,
}

/// Bytes of a file system, for those who are not root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    free: u64,
    total: u64,
}

impl DiskGuard {
    /// Watches the file system of `folder`, and gives the ballast up at once when there is no room
    /// to start. `min_free` bytes are kept free; by default 5 % of the file system, at least 1 MiB
    /// and at most 256 MiB.
    pub fn new(folder: impl Into<PathBuf>, min_free: Option<u64>) -> Self {
        let guard = Self(Arc::new(Inner {
            folder: folder.into(),
            min_free,
            started: Instant::now(),
            looked_ms: AtomicU64::new(0),
            is_low: AtomicBool::new(false),
        }));
        guard.look();
        guard
    }

    /// Whether new data is refused. Looks at the file system now and then; otherwise one load.
    pub fn is_low(&self) -> bool {
        let now = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked = self.0.looked_ms.load(Ordering::Relaxed);
        let every = LOOK_EVERY.as_millis() as u64;
        if now.saturating_sub(looked) >= every
            && self
                .0
                .looked_ms
                .compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.look();
        }
        self.0.is_low.load(Ordering::Relaxed)
    }

    /// Refuses new data while the disk is full.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE`.
    pub fn check(&self) -> Result<(), Error> {
        match self.is_low() {
            true => Err(Error::new(ErrorCode::ServiceUnavailable, REFUSAL)),
            false => Ok(()),
        }
    }

    /// Looks every second, and keeps metrics and ballast, until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        loop {
            let guard = self.clone();
            let looked = tokio::task::spawn_blocking(move || guard.look());
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looked => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
        }
    }

    fn look(&self) {
        let room = match self.room() {
            Ok(room) => room,
            Err(error) => {
                let text =
                    crate::os::explain("ask for the free room of", self.0.folder.display(), &error);
                tracing::warn!(error = text, "the room on the disk is not known");
                return;
            }
        };
        let keep = self.keep(room);
        let was_low = self.0.is_low.load(Ordering::Relaxed);
        // A tenth more on the way back: the state must not flicker.
        let is_low = room.free < if was_low { keep + keep / 10 } else { keep };
        self.0.is_low.store(is_low, Ordering::Relaxed);
        metrics::gauge!("gochat_disk_free_bytes").set(room.free as f64);
        metrics::gauge!("gochat_disk_low").set(f64::from(u8::from(is_low)));
        let folder = self.0.folder.display();
        match (was_low, is_low) {
            (false, true) => tracing::error!(%folder, free = room.free, keep,
                "the disk is full: reading goes on, new messages and accounts are refused until there is room"),
            (true, false) => {
                tracing::warn!(%folder, free = room.free, "there is room on the disk again")
            }
            _ => {}
        }
        if let Err(error) = self.balance(room, keep) {
            let text = crate::os::explain("keep the ballast in", folder, &error);
            tracing::warn!(error = text, "the ballast could not be changed");
        }
    }

    fn room(&self) -> io::Result<Room> {
        let stat = rustix::fs::statvfs(&self.0.folder)?;
        Ok(Room {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    fn keep(&self, room: Room) -> u64 {
        let usual = (room.total / 20).clamp(KEEP_MIN, KEEP_MAX);
        self.0.min_free.unwrap_or(usual)
    }

    /// Makes the ballast while there is plenty of room, and gives it up when there is hardly any.
    fn balance(&self, room: Room, keep: u64) -> io::Result<()> {
        let path = self.0.folder.join(BALLAST);
        let size = (room.total / 50).clamp(BALLAST_MIN, BALLAST_MAX);
        match std::fs::metadata(&path) {
            Ok(_) if room.free < size / 2 => {
                tracing::error!(path = %path.display(), "the ballast is given up to go on");
                std::fs::remove_file(&path)
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match keep > 0 && room.free > keep.saturating_mul(2).saturating_add(size) {
                    true => make(&path, size),
                    false => Ok(()),
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// Makes a file that takes its room on the disk at once.
fn make(path: &std::path::Path, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let made = allocate(&file, 0, size);
    if made.is_err() {
        std::fs::remove_file(path)?;
    }
    made
}

/// Reserves room on the disk for a part of a file. The length of the file stays as it is where the
/// file system can reserve beyond the end; elsewhere zeros are written, which lengthen the file.
pub(crate) fn allocate(file: &File, at: u64, len: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, at, len) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let mut written = 0;
            while written < len {
                let part = (len - written).min(ZEROS.len() as u64) as usize;
                file.write_all_at(&ZEROS[..part], at + written)?;
                written += part as u64;
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

impl std::fmt::Debug for DiskGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskGuard")
            .field("folder", &self.0.folder)
            .finish_non_exhaustive()
    }
}

impl PartialEq for DiskGuard {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for DiskGuard {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_the_watermark_new_data_is_refused_retryably() {
        let folder = tempfile::TempDir::new().unwrap();
        let roomy = DiskGuard::new(folder.path(), Some(0));
        assert!(!roomy.is_low() && roomy.check().is_ok());
        let full = DiskGuard::new(folder.path(), Some(u64::MAX / 4));
        let refused = full.check().unwrap_err();
        assert!(full.is_low() && refused.is_retryable());
        assert!(refused.message.contains("disk"));
    }

    #[test]
    fn the_watermark_is_sane_on_small_and_large_disks() {
        let folder = tempfile::TempDir::new().unwrap();
        let guard = DiskGuard::new(folder.path(), None);
        let keep = |total| guard.keep(Room { free: 0, total });
        assert_eq!(keep(10 << 20), 1 << 20);
        assert_eq!(keep(2_000 << 20), 100 << 20);
        assert_eq!(keep(4 << 40), 256 << 20);
    }

    #[test]
    fn ballast_takes_real_room_and_is_given_up_without_any() {
        let folder = tempfile::TempDir::new().unwrap();
        let guard = DiskGuard::new(folder.path(), Some(1));
        let path = folder.path().join(BALLAST);
        let total = 100 << 20;
        let room = |free| Room { free, total };
        let _ = std::fs::remove_file(&path);
        guard.balance(room(10), 1).unwrap();
        assert!(!path.exists(), "not on a full disk");
        guard.balance(room(50 << 20), 1).unwrap();
        let made = std::fs::metadata(&path).unwrap();
        assert!(std::os::unix::fs::MetadataExt::blocks(&made) * 512 >= 2 << 20);
        guard.balance(room(10 << 20), 1).unwrap();
        assert!(path.exists());
        guard.balance(room(0), 1).unwrap();
        assert!(!path.exists());
    }
}
