//! Where a user's session is kept between runs of an app.

use std::fmt;
use std::sync::Mutex;

use async_trait::async_trait;
use gochat_core::ids::UserId;
use serde::{Deserialize, Serialize};

/// Why a store failed.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// A user's session: what an app keeps so that the user stays signed in. Its `Debug` shows no
/// secret; as JSON it is complete.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredSession {
    /// Short-lived.
    pub access_token: String,
    /// Exchanged for a new pair when the access token has expired.
    pub refresh_token: String,
    /// The user, when that is known.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// Name of the user, when that is known.
    #[serde(default)]
    pub username: Option<String>,
}

impl StoredSession {
    /// A session of tokens that came from elsewhere.
    pub fn new(access_token: impl Into<String>, refresh_token: impl Into<String>) -> Self {
        Self {
            access_token: access_token.into(),
            refresh_token: refresh_token.into(),
            user_id: None,
            username: None,
        }
    }
}

impl fmt::Debug for StoredSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSession")
            .field("user_id", &self.user_id)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Keeps the session of one user on one device: a file, a keychain, a database.
///
/// The client saves every new pair of tokens *before* it uses it, and goes on with the earlier pair
/// while saving fails. At most one method runs at a time per client. Implementations use
/// [`async_trait`](crate::async_trait), so that a client can hold any store behind one type: a
/// store is asked a few times an hour, and being generic over it would show in the type of every
/// handle.
///
/// ```
/// use gochat_client::{StoreError, StoredSession, TokenStore, async_trait};
///
/// #[derive(Debug)]
/// struct Keychain;
///
/// #[async_trait]
/// impl TokenStore for Keychain {
///     async fn load(&self) -> Result<Option<StoredSession>, StoreError> {
///         Ok(read()?.map(|text| serde_json::from_str(&text)).transpose()?)
///     }
///     async fn save(&self, session: &StoredSession) -> Result<(), StoreError> {
///         write(&serde_json::to_string(session)?)
///     }
///     async fn clear(&self) -> Result<(), StoreError> {
///         remove()
///     }
/// }
/// # fn read() -> Result<Option<String>, StoreError> { Ok(None) }
/// # fn write(_: &str) -> Result<(), StoreError> { Ok(()) }
/// # fn remove() -> Result<(), StoreError> { Ok(()) }
/// ```
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// The session that was saved last; `None` when there is none. What is there and can't be
    /// read is an error: an app that took it for nothing would make another guest.
    async fn load(&self) -> Result<Option<StoredSession>, StoreError>;

    /// Replaces the session. When it returns, the session is durable; when it fails, the earlier
    /// one is still there.
    async fn save(&self, session: &StoredSession) -> Result<(), StoreError>;

    /// Forgets the session: the user signed out or deleted the account.
    async fn clear(&self) -> Result<(), StoreError>;
}

/// Keeps the session as long as the process runs.
#[derive(Debug, Default)]
pub struct MemoryTokenStore {
    session: Mutex<Option<StoredSession>>,
}

impl MemoryTokenStore {
    fn set(&self, session: Option<StoredSession>) {
        *self.session.lock().unwrap_or_else(|e| e.into_inner()) = session;
    }
}

#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl TokenStore for MemoryTokenStore {
    async fn load(&self) -> Result<Option<StoredSession>, StoreError> {
        let session = self.session.lock().unwrap_or_else(|e| e.into_inner());
        Ok(session.clone())
    }

    async fn save(&self, session: &StoredSession) -> Result<(), StoreError> {
        self.set(Some(session.clone()));
        Ok(())
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.set(None);
        Ok(())
    }
}

/// One store may serve several clients of one user.
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
impl<S: TokenStore + ?Sized> TokenStore for std::sync::Arc<S> {
    async fn load(&self) -> Result<Option<StoredSession>, StoreError> {
        (**self).load().await
    }

    async fn save(&self, session: &StoredSession) -> Result<(), StoreError> {
        (**self).save(session).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        (**self).clear().await
    }
}
