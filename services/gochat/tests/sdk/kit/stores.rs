//! A token store that fails on demand.

use std::sync::{Arc, Mutex};

use gochat_client::{StoreError, StoredSession, TokenStore, async_trait};

/// What a save does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    #[default]
    Works,
    /// Fails and changes nothing.
    Fails,
    /// Never comes back, and changes nothing: the process stopped before the write.
    Stops,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    session: Option<StoredSession>,
    mood: Mood,
    /// The session of a save that failed or stopped.
    lost: Option<StoredSession>,
}

impl Store {
    pub(crate) fn set(&self, mood: Mood) {
        self.inner.lock().expect("whole").mood = mood;
    }

    pub(crate) fn stored(&self) -> Option<StoredSession> {
        self.inner.lock().expect("whole").session.clone()
    }

    pub(crate) fn lost(&self) -> Option<StoredSession> {
        self.inner.lock().expect("whole").lost.clone()
    }

    /// Puts an access token there that the server refuses: the next call renews it.
    pub(crate) fn spoil(&self) {
        let mut inner = self.inner.lock().expect("whole");
        let session = inner.session.as_mut().expect("a session");
        session.access_token.push('x');
    }
}

#[async_trait]
impl TokenStore for Store {
    async fn load(&self) -> Result<Option<StoredSession>, StoreError> {
        Ok(self.stored())
    }

    async fn save(&self, session: &StoredSession) -> Result<(), StoreError> {
        let mood = {
            let mut inner = self.inner.lock().expect("whole");
            if inner.mood == Mood::Works {
                inner.session = Some(session.clone());
            } else {
                inner.lost = Some(session.clone());
            }
            inner.mood
        };
        match mood {
            Mood::Works => Ok(()),
            Mood::Fails => Err("the disk is full".into()),
            Mood::Stops => std::future::pending().await,
        }
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.inner.lock().expect("whole").session = None;
        Ok(())
    }
}
