//! The floor of ids in a small file of the data folder.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UnixMillis;
use parking_lot::Mutex;

use crate::ids::{FloorStore, Stored};

/// Bytes between the two slots: a torn write of one can't touch the other.
const SLOT: u64 = 4_096;
/// Bytes of a slot that are used: generation, floor, checksum.
const USED: usize = 20;

/// A file of two slots that are written in turn and synced before the caller goes on. The room is
/// taken when the file is made, so that the floor can be stored on a full disk.
pub struct FileFloor {
    path: Arc<Path>,
    /// The floor that is known from elsewhere, for a folder whose file is missing.
    at_least: Option<UnixMillis>,
    open: Arc<Mutex<Option<Open>>>,
}

struct Open {
    file: File,
    generation: u64,
    floor: Option<UnixMillis>,
}

impl FileFloor {
    /// The floor in the file at `path`, which is made when it is first needed. `at_least` is the
    /// time of the newest id that is stored elsewhere.
    pub fn new(path: impl Into<PathBuf>, at_least: Option<UnixMillis>) -> Self {
        Self {
            path: path.into().into(),
            at_least,
            open: Arc::default(),
        }
    }

    /// Runs `work` on the open file, on a thread that may block.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Open) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (path, open) = (self.path.clone(), self.open.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut held = open.lock();
            let open = match &mut *held {
                Some(open) => open,
                none => none.insert(Open::at(&path)?),
            };
            work(open)
        });
        let done = done
            .await
            .map_err(|_| Error::new(ErrorCode::ServiceUnavailable, "The process is stopping."))?;
        done.map_err(|error| {
            let path = self.path.display();
            let text = format!("The floor of ids in {path} can't be read or written: {error}.");
            Error::new(ErrorCode::ServiceUnavailable, text)
        })
    }
}

impl Open {
    fn at(path: &Path) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(path)?;
        if file.metadata()?.len() < 2 * SLOT {
            // Written, not only made long: a hole would need room later.
            file.write_all_at(&[0; 2 * SLOT as usize], 0)?;
            file.sync_all()?;
            if let Some(folder) = path.parent() {
                File::open(folder)?.sync_all()?;
            }
        }
        let slots = [slot(&file, 0)?, slot(&file, 1)?];
        let newest = slots.into_iter().flatten().max();
        let (generation, floor) = newest.map_or((0, None), |(g, floor)| (g, Some(floor)));
        Ok(Self {
            file,
            generation,
            floor,
        })
    }

    fn store(&mut self, floor: UnixMillis) -> std::io::Result<()> {
        let generation = self.generation + 1;
        let mut bytes = [0; USED];
        bytes[..8].copy_from_slice(&generation.to_le_bytes());
        bytes[8..16].copy_from_slice(&floor.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..16]);
        bytes[16..].copy_from_slice(&sum.to_le_bytes());
        self.file.write_all_at(&bytes, generation % 2 * SLOT)?;
        self.file.sync_data()?;
        (self.generation, self.floor) = (generation, Some(floor));
        Ok(())
    }
}

/// Generation and floor of a slot; `None` for one that was never written, or torn.
fn slot(file: &File, at: u64) -> std::io::Result<Option<(u64, UnixMillis)>> {
    let mut bytes = [0; USED];
    file.read_exact_at(&mut bytes, at * SLOT)?;
    let number = |at: usize| {
        let mut eight = [0; 8];
        eight.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(eight)
    };
    let sum = crc32fast::hash(&bytes[..16]).to_le_bytes();
    let is_whole = bytes[16..] == sum && number(0) > 0;
    Ok(is_whole.then(|| (number(0), number(8))))
}

#[async_trait]
impl FloorStore for FileFloor {
    async fn load(&self) -> Result<Option<UnixMillis>> {
        let at_least = self.at_least;
        self.with(move |open| Ok(open.floor.max(at_least))).await
    }

    async fn raise(&self, until: UnixMillis, room_ms: u64) -> Result<Stored> {
        let at_least = self.at_least;
        self.with(move |open| {
            let before = open.floor.max(at_least);
            let after = until.max(before.map_or(0, |before| before.saturating_add(room_ms)));
            open.store(after)?;
            Ok(Stored { before, after })
        })
        .await
    }

    async fn lower(&self, from: UnixMillis, to: UnixMillis) -> Result<()> {
        self.with(move |open| match open.floor {
            Some(floor) if floor == from => open.store(to),
            _ => Ok(()),
        })
        .await
    }

    fn is_required(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_floor_survives_and_only_its_owner_lowers_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("ids.floor");
        let floor = FileFloor::new(&path, None);
        assert_eq!(floor.load().await.unwrap(), None);
        let first = floor.raise(1_000, 50).await.unwrap();
        assert_eq!((first.before, first.after), (None, 1_000));
        let floor = FileFloor::new(&path, None);
        assert_eq!(floor.load().await.unwrap(), Some(1_000));
        let behind = floor.raise(900, 50).await.unwrap();
        assert_eq!((behind.before, behind.after), (Some(1_000), 1_050));
        floor.lower(1_000, 10).await.unwrap();
        assert_eq!(floor.load().await.unwrap(), Some(1_050), "moved meanwhile");
        floor.lower(1_050, 1_020).await.unwrap();
        let floor = FileFloor::new(&path, Some(1_015));
        assert_eq!(floor.load().await.unwrap(), Some(1_020));
        let floor = FileFloor::new(&path, Some(2_000));
        assert_eq!(
            floor.load().await.unwrap(),
            Some(2_000),
            "known from elsewhere"
        );
    }

    #[tokio::test]
    async fn a_torn_write_leaves_the_floor_before_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("ids.floor");
        let floor = FileFloor::new(&path, None);
        floor.raise(1_000, 50).await.unwrap();
        floor.raise(2_000, 50).await.unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        // The second write went into the first slot.
        file.write_all_at(&[0xff; 9], 3).unwrap();
        let floor = FileFloor::new(&path, None);
        assert_eq!(floor.load().await.unwrap(), Some(1_000));
    }

    #[tokio::test]
    async fn an_error_names_the_file() {
        let floor = FileFloor::new("/nowhere/at/all/ids.floor", None);
        let error = floor.load().await.unwrap_err();
        assert!(error.message.contains("/nowhere/at/all/ids.floor"));
        assert!(error.is_retryable());
    }
}
