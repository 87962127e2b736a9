//! Getting tokens and keeping them fresh. At most one renewal is under way at a time.

mod lifespan;

use std::sync::Arc;
use std::time::SystemTime;

use gochat_core::error::{Error as Refusal, ErrorCode};
use gochat_core::ids::UserId;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use crate::api::User;
use crate::http::Http;
use crate::{Credentials, Result, proof};

/// Proofs of work that are tried for one guest: a challenge may expire while it is solved.
const PROOFS: usize = 2;

/// Shared by the driver and every API call.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    http: Http,
    state: Arc<Mutex<Held>>,
}

struct Held {
    credentials: Credentials,
    pair: Option<Pair>,
    /// Whether the pair came from the server during this run: its whole life lies ahead then.
    is_fresh: bool,
    user: Option<User>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
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
    pub(crate) fn new(http: Http, credentials: Credentials) -> Self {
        let pair = match &credentials {
            Credentials::Tokens { access, refresh } => Some(Pair {
                access_token: access.clone(),
                refresh_token: refresh.clone(),
            }),
            _ => None,
        };
        let state = Arc::new(Mutex::new(Held {
            credentials,
            pair,
            is_fresh: false,
            user: None,
        }));
        Self { http, state }
    }

    /// An access token; signs in when there is none yet.
    pub(crate) async fn access(&self) -> Result<String> {
        let mut held = self.state.lock().await;
        if held.pair.is_none() {
            self.sign_in(&mut held).await?;
        }
        Ok(held.access())
    }

    /// A token other than `refused`: somebody else's renewal counts too.
    pub(crate) async fn renew(&self, refused: &str) -> Result<String> {
        let mut held = self.state.lock().await;
        if held.access() == refused || held.pair.is_none() {
            self.renew_held(&mut held).await?;
        }
        Ok(held.access())
    }

    /// Milliseconds that the access token has left; `None` when the token doesn't say.
    pub(crate) async fn life_ms(&self) -> Option<u64> {
        let held = self.state.lock().await;
        let pair = held.pair.as_ref()?;
        let span = lifespan::of(&pair.access_token)?;
        Some(if held.is_fresh {
            // Not by the clock of this machine, which may be wrong.
            span.whole_ms()
        } else {
            span.rest_ms(SystemTime::now())
        })
    }

    /// The signed-in user.
    pub(crate) async fn user(&self) -> Result<User> {
        let mut held = self.state.lock().await;
        if held.pair.is_none() {
            self.sign_in(&mut held).await?;
        }
        if let Some(user) = &held.user {
            return Ok(user.clone());
        }
        let profile = |token: String| async move {
            let none = None::<&()>;
            self.http
                .call::<User>(Method::GET, "/users/profile", none, Some(&token))
                .await
        };
        let user = match profile(held.access()).await {
            Err(e) if is_stale(&e) => {
                self.renew_held(&mut held).await?;
                profile(held.access()).await?
            }
            other => other?,
        };
        held.user = Some(user.clone());
        Ok(user)
    }

    /// The id behind the tokens.
    pub(crate) async fn user_id(&self) -> Result<UserId> {
        Ok(self.user().await?.id)
    }

    /// The current pair, for the application to keep.
    pub(crate) async fn export(&self) -> Option<(String, String)> {
        let held = self.state.lock().await;
        held.pair
            .as_ref()
            .map(|p| (p.access_token.clone(), p.refresh_token.clone()))
    }

    async fn sign_in(&self, held: &mut Held) -> Result<()> {
        let signed_in: SignedIn = match &held.credentials {
            Credentials::Password { username, password } => {
                let body = json!({ "username": username, "password": password });
                self.http
                    .call(Method::POST, "/auth/login", Some(&body), None)
                    .await?
            }
            // A guest has no password: signing in again would make another guest.
            Credentials::Guest { .. } if held.user.is_some() => {
                return Err(Refusal::from(ErrorCode::TokenExpired).into());
            }
            Credentials::Guest { name } => self.enter_as_guest(name.as_deref()).await?,
            Credentials::Tokens { .. } => {
                return Err(Refusal::from(ErrorCode::TokenExpired).into());
            }
        };
        held.pair = Some(signed_in.pair);
        held.is_fresh = true;
        held.user = Some(signed_in.user);
        Ok(())
    }

    /// Makes a guest; solves a challenge when the server asks for it.
    async fn enter_as_guest(&self, name: Option<&str>) -> Result<SignedIn> {
        let mut body = serde_json::Map::new();
        if let Some(name) = name {
            body.insert("guestName".to_owned(), name.into());
        }
        for _ in 0..PROOFS {
            match self.make_guest(&body).await {
                Err(e) if needs_proof(&e) => {}
                outcome => return outcome,
            }
            let proof = proof::obtain(&self.http).await?;
            body.insert("proof".to_owned(), proof.into());
        }
        self.make_guest(&body).await
    }

    async fn make_guest(
        &self,
        body: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<SignedIn> {
        let path = "/auth/guest";
        self.http.call(Method::POST, path, Some(body), None).await
    }

    /// Replaces the pair, for example by the answer of an upgrade.
    pub(crate) async fn replace(&self, signed_in: SignedIn) -> User {
        let mut held = self.state.lock().await;
        held.pair = Some(signed_in.pair);
        held.is_fresh = true;
        held.user = Some(signed_in.user.clone());
        signed_in.user
    }

    /// Exchanges the refresh token; signs in again when that one is spent too. An answer that was
    /// lost may be asked for again: the server gives the same pair for a minute.
    async fn renew_held(&self, held: &mut Held) -> Result<()> {
        if let Some(pair) = &held.pair {
            let body = json!({ "refreshToken": pair.refresh_token });
            let answer = self
                .http
                .call(Method::POST, "/auth/refresh", Some(&body), None)
                .await;
            match answer {
                Ok(pair) => {
                    held.pair = Some(pair);
                    held.is_fresh = true;
                    return Ok(());
                }
                Err(e) if e.is_retryable() => return Err(e),
                Err(_) => held.pair = None,
            }
        }
        self.sign_in(held).await
    }
}

impl Held {
    fn access(&self) -> String {
        self.pair
            .as_ref()
            .map(|p| p.access_token.clone())
            .unwrap_or_default()
    }
}

fn needs_proof(error: &crate::Error) -> bool {
    let refusal = error.refusal();
    refusal.is_some_and(|refusal| refusal.code == ErrorCode::ProofRequired)
}

/// Whether a new token would help.
pub(crate) fn is_stale(error: &crate::Error) -> bool {
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
