//! A session in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::store::{StoreError, StoredSession, TokenStore};

/// Keeps the session in a file that only its owner may read (mode 0600 on Unix).
///
/// A save writes another file beside it, syncs it, renames it over the first and syncs the folder:
/// whenever the process or the machine stops, the file holds the earlier session or the new one.
/// The folder must exist. Clients of two users need two files.
#[derive(Debug, Clone)]
pub struct FileTokenStore {
    path: PathBuf,
    /// Held while the file is touched: a save whose future was dropped goes on by itself.
    busy: Arc<Mutex<()>>,
}

impl FileTokenStore {
    /// A store in the file of this name; it is made by the first save.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            busy: Arc::default(),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (path, busy) = (self.path.clone(), Arc::clone(&self.busy));
        let done = tokio::task::spawn_blocking(move || {
            let _held = busy.lock().unwrap_or_else(|e| e.into_inner());
            work(&path).map_err(|error| named(&path, error))
        });
        Ok(done.await??)
    }
}

#[async_trait]
impl TokenStore for FileTokenStore {
    async fn load(&self) -> Result<Option<StoredSession>, StoreError> {
        self.run(|path| match fs::read(path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn save(&self, session: &StoredSession) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(session)?;
        self.run(move |path| replace(path, &bytes)).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.run(|path| match fs::remove_file(path) {
            Ok(()) => sync_folder(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        })
        .await
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path)?;
    // A process that was stopped in the middle leaves one behind.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)?;
    sync_folder(path)
}

/// The file that is written before it takes the place of `path`.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut name = name.to_owned();
    name.push(".new");
    Ok(path.with_file_name(name))
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Makes names of the file's folder durable. Only Unix lets folders be opened for that.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(n: u32) -> StoredSession {
        StoredSession::new(format!("access-{n}"), format!("refresh-{n}"))
    }

    #[tokio::test]
    async fn a_session_is_found_again_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.json");
        let store = FileTokenStore::new(&path);
        assert_eq!(store.load().await.unwrap(), None);
        store.clear().await.unwrap();
        for n in 0..3 {
            store.save(&session(n)).await.unwrap();
            let again = FileTokenStore::new(&path).load().await.unwrap();
            assert_eq!(again, Some(session(n)));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        store.clear().await.unwrap();
        assert_eq!(store.load().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_save_that_was_interrupted_leaves_the_earlier_session() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.json");
        let store = FileTokenStore::new(&path);
        store.save(&session(1)).await.unwrap();
        fs::write(beside(&path).unwrap(), "{\"acc").unwrap();
        assert_eq!(store.load().await.unwrap(), Some(session(1)));
        store.save(&session(2)).await.unwrap();
        assert_eq!(store.load().await.unwrap(), Some(session(2)));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.json");
        // What another program left with other rights doesn't hand its rights on.
        fs::write(&path, "{}").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let store = FileTokenStore::new(&path);
        store.save(&session(1)).await.unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn what_can_not_be_read_or_written_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.json");
        fs::write(&path, "not a session").unwrap();
        let error = FileTokenStore::new(&path).load().await.unwrap_err();
        assert!(error.to_string().contains("session.json"), "{error}");
        let nowhere = FileTokenStore::new(dir.path().join("missing/session.json"));
        assert!(nowhere.save(&session(1)).await.is_err());
    }
}
