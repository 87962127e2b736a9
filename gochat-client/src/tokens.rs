//! Getting tokens and keeping them fresh. A new pair is in the token store before it is used. At
//! most one renewal is under way at a time.

#[cfg(not(target_arch = "wasm32"))]
mod file;
mod lifespan;
mod renewal;
mod signing_in;
mod store;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::{Instant, SystemTime};

use gochat_core::error::ErrorCode;
use gochat_core::ids::UserId;
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, watch};

use crate::api::User;
use crate::http::Http;
use crate::{Cause, Credentials, Error, ErrorKind, Result};
#[cfg(not(target_arch = "wasm32"))]
pub use file::FileTokenStore;
pub use store::{MemoryTokenStore, StoreError, StoredSession, TokenStore};

/// Shared by the driver and every API call.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    shared: Arc<Shared>,
}

struct Shared {
    http: Http,
    store: Arc<dyn TokenStore>,
    /// Name of the device, as the app gave it.
    device: Option<String>,
    state: Mutex<Held>,
    /// The access token in use, for callers that must not wait for a renewal.
    access: RwLock<Option<String>>,
    user_id: OnceLock<UserId>,
    /// Why the newest pair isn't in the store.
    unsaved: watch::Sender<Option<Cause>>,
    /// Whether a refresh whose answer was lost is being repeated.
    is_repeating: AtomicBool,
    /// The user is signing out: the end of the session is no reason to sign in again.
    is_leaving: AtomicBool,
}

impl std::fmt::Debug for Shared {
    /// Shows no token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("store", &self.store)
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

struct Held {
    credentials: Option<Credentials>,
    is_loaded: bool,
    /// The session in use: the store holds it.
    session: Option<StoredSession>,
    /// A newer session, from the server, that the store doesn't hold yet.
    unsaved: Option<StoredSession>,
    /// When the server made the session during this run; `None` for one of an earlier run.
    made_at: Option<Instant>,
    user: Option<User>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pair {
    access_token: String,
    refresh_token: String,
}

/// Tokens and the user they are for.
#[derive(Deserialize)]
pub(crate) struct SignedIn {
    #[serde(flatten)]
    pair: Pair,
    user: User,
}

impl Tokens {
    pub(crate) fn new(
        http: Http,
        credentials: Option<Credentials>,
        store: Arc<dyn TokenStore>,
        device: Option<String>,
    ) -> Self {
        let held = Held {
            credentials,
            is_loaded: false,
            session: None,
            unsaved: None,
            made_at: None,
            user: None,
        };
        let shared = Shared {
            http,
            store,
            device,
            state: Mutex::new(held),
            access: RwLock::new(None),
            user_id: OnceLock::new(),
            unsaved: watch::Sender::new(None),
            is_repeating: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// An access token; signs in when there is none yet.
    pub(crate) async fn access(&self) -> Result<String> {
        let current = self.shared.access.read();
        if let Some(token) = &*current.unwrap_or_else(|e| e.into_inner()) {
            return Ok(token.clone());
        }
        let shared = Arc::clone(&self.shared);
        detached(async move {
            let mut held = shared.state.lock().await;
            shared.ensure(&mut held).await
        })
        .await
    }

    /// A token other than `refused`: the renewal of another caller counts too.
    pub(crate) async fn renew(&self, refused: &str) -> Result<String> {
        let (shared, refused) = (Arc::clone(&self.shared), refused.to_owned());
        detached(async move {
            let mut held = shared.state.lock().await;
            let current = held.session.as_ref().map(|s| &s.access_token);
            if current.is_some_and(|token| *token == refused) {
                shared.renew(&mut held).await?;
            }
            shared.ensure(&mut held).await
        })
        .await
    }

    /// Milliseconds that the access token has left; `None` when the token doesn't say.
    pub(crate) async fn life_ms(&self) -> Option<u64> {
        let held = self.shared.state.lock().await;
        let span = lifespan::of(&held.session.as_ref()?.access_token)?;
        Some(match held.made_at {
            // Not by the clock of this machine, which may be wrong.
            Some(at) => {
                let age = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
                span.whole_ms().saturating_sub(age)
            }
            None => span.rest_of_earlier_run_ms(SystemTime::now()),
        })
    }

    /// The signed-in user.
    pub(crate) async fn user(&self) -> Result<User> {
        let token = self.access().await?;
        if let Some(user) = &self.shared.state.lock().await.user {
            return Ok(user.clone());
        }
        let profile = async |token: String| {
            let http = &self.shared.http;
            let none = None::<&()>;
            http.call::<User>(Method::GET, "/users/profile", none, Some(&token))
                .await
        };
        let user = match profile(token.clone()).await {
            Err(e) if is_stale(&e) => profile(self.renew(&token).await?).await?,
            other => other?,
        };
        let _ = self.shared.user_id.set(user.id);
        self.shared.state.lock().await.user = Some(user.clone());
        Ok(user)
    }

    /// The id behind the tokens.
    pub(crate) async fn user_id(&self) -> Result<UserId> {
        self.access().await?;
        match self.shared.user_id.get() {
            Some(id) => Ok(*id),
            None => Ok(self.user().await?.id),
        }
    }

    /// The id behind the tokens, as far as it is known without asking the server.
    pub(crate) fn known_user_id(&self) -> Option<UserId> {
        self.shared.user_id.get().copied()
    }

    /// The current session, for the application to keep.
    pub(crate) async fn export(&self) -> Result<StoredSession> {
        self.access().await?;
        let held = self.shared.state.lock().await;
        held.session
            .clone()
            .ok_or_else(|| ErrorKind::SignedOut.into())
    }

    /// Follows why the newest session isn't in the store.
    pub(crate) fn watch_unsaved(&self) -> watch::Receiver<Option<Cause>> {
        self.shared.unsaved.subscribe()
    }

    /// Makes an account of a guest and takes over the pair that comes with it. No renewal runs
    /// beside it: the server answers with the newest pair of its moment.
    pub(crate) async fn upgrade(&self, body: Value) -> Result<User> {
        let shared = Arc::clone(&self.shared);
        detached(async move {
            let mut held = shared.state.lock().await;
            let token = shared.ensure(&mut held).await?;
            let signed_in = match shared.ask_upgrade(&body, &token).await {
                Err(e) if is_stale(&e) => {
                    shared.renew(&mut held).await?;
                    let token = shared.ensure(&mut held).await?;
                    shared.ask_upgrade(&body, &token).await?
                }
                other => other?,
            };
            let user = signed_in.user.clone();
            shared.keep_signed_in(&mut held, signed_in).await?;
            Ok(user)
        })
        .await
    }

    /// The password that signs in was changed.
    pub(crate) async fn note_password(&self, new: &str) {
        if let Some(Credentials::Password { password, .. }) =
            &mut self.shared.state.lock().await.credentials
        {
            new.clone_into(password);
        }
    }

    /// Until the guard goes, the end of the session doesn't lead to another one.
    pub(crate) fn leave(&self) -> Leaving {
        self.shared.is_leaving.store(true, Ordering::Release);
        Leaving(Arc::clone(&self.shared))
    }

    /// Waits for an exchange that is under way: its pair is in the store then.
    pub(crate) async fn settled(&self) {
        drop(self.shared.state.lock().await);
    }

    /// Forgets the session, which has ended, and how to sign in again.
    pub(crate) async fn forget(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        detached(async move {
            let mut held = shared.state.lock().await;
            shared.take_up(&mut held, None);
            (held.unsaved, held.credentials) = (None, None);
            held.is_loaded = true;
            shared.unsaved.send_replace(None);
            shared.store.clear().await.map_err(storage)
        })
        .await
    }
}

impl Shared {
    /// Takes a session into use.
    fn take_up(&self, held: &mut Held, session: Option<StoredSession>) {
        let access = session.as_ref().map(|session| session.access_token.clone());
        *self.access.write().unwrap_or_else(|e| e.into_inner()) = access;
        held.session = session;
    }
}

/// See [`Tokens::leave`].
#[derive(Debug)]
pub(crate) struct Leaving(Arc<Shared>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.is_leaving.store(false, Ordering::Release);
    }
}

/// Runs beside the caller, to its end: a caller that stops waiting must not lose tokens that are on
/// their way from the server.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let task = tokio::spawn(work).await;
    task.unwrap_or_else(|ended| match ended.is_panic() {
        // Nothing but an app's own store panics here.
        true => Err(Error::with_source(ErrorKind::Storage, ended)),
        false => Err(ErrorKind::Closed.into()),
    })
}

fn storage(error: StoreError) -> Error {
    Error::with_source(ErrorKind::Storage, error)
}

/// Whether a new token would help.
pub(crate) fn is_stale(error: &Error) -> bool {
    error.refusal().is_some_and(|r| {
        matches!(
            r.code,
            ErrorCode::TokenExpired
                | ErrorCode::InvalidToken
                | ErrorCode::Unauthorized
                | ErrorCode::AuthFailed
        )
    })
}
