//! Where the first session comes from: the store, or the server.

use gochat_core::error::ErrorCode;
use http::Method;
use serde_json::{Map, Value, json};

use super::{Held, Shared, SignedIn, StoredSession, storage};
use crate::{Credentials, Error, ErrorKind, Result, proof};

/// Proofs of work that are tried for one guest: a challenge may expire while it is solved.
const PROOFS: usize = 2;

impl Shared {
    /// The access token of the session in use; there is one after this, or an error.
    pub(super) async fn ensure(&self, held: &mut Held) -> Result<String> {
        if held.session.is_none() && !held.is_loaded {
            self.load(held).await?;
        }
        if held.session.is_none() {
            match held.unsaved.clone() {
                Some(session) => self.keep(held, session).await?,
                None => self.sign_in(held).await?,
            }
        }
        let session = held.session.as_ref();
        session.map_or_else(
            || Err(ErrorKind::SignedOut.into()),
            |s| Ok(s.access_token.clone()),
        )
    }

    async fn load(&self, held: &mut Held) -> Result<()> {
        let stored = self.store.load().await.map_err(storage)?;
        held.is_loaded = true;
        let stored = stored.filter(|session| is_for(held.credentials.as_ref(), session));
        self.take_up(held, stored);
        if let Some(id) = held.session.as_ref().and_then(|session| session.user_id) {
            let _ = self.user_id.set(id);
        }
        Ok(())
    }

    /// Signs in by the credentials.
    pub(super) async fn sign_in(&self, held: &mut Held) -> Result<()> {
        let signed_in: SignedIn = match &held.credentials {
            None => return Err(ErrorKind::SignedOut.into()),
            Some(Credentials::Tokens { access, refresh }) => {
                let session = StoredSession::new(access, refresh);
                self.keep(held, session).await?;
                // They are of any age.
                held.made_at = None;
                return Ok(());
            }
            Some(Credentials::Password { username, password }) => {
                let body = self.signing(json!({ "username": username, "password": password }));
                self.http
                    .call(Method::POST, "/auth/login", Some(&body), None)
                    .await?
            }
            Some(Credentials::Guest { name }) => self.enter_as_guest(name.as_deref()).await?,
        };
        self.keep_signed_in(held, signed_in).await
    }

    /// Keeps the session of an answer, and who it is for.
    pub(super) async fn keep_signed_in(&self, held: &mut Held, signed_in: SignedIn) -> Result<()> {
        let SignedIn { pair, user } = signed_in;
        let session = StoredSession {
            access_token: pair.access_token,
            refresh_token: pair.refresh_token,
            user_id: Some(user.id),
            username: Some(user.username.clone()),
        };
        let _ = self.user_id.set(user.id);
        held.user = Some(user);
        self.keep(held, session).await
    }

    /// Adds the device's name to what signs in.
    fn signing(&self, mut body: Value) -> Value {
        if let Some(device) = &self.device {
            body["device"] = device.as_str().into();
        }
        body
    }

    /// Makes a guest; solves a challenge when the server asks for it.
    async fn enter_as_guest(&self, name: Option<&str>) -> Result<SignedIn> {
        let mut body = self.signing(Value::Object(Map::new()));
        if let Some(name) = name {
            body["guestName"] = name.into();
        }
        for _ in 0..PROOFS {
            match self.make_guest(&body).await {
                Err(e) if needs_proof(&e) => {}
                outcome => return outcome,
            }
            body["proof"] = proof::obtain(&self.http).await?.into();
        }
        self.make_guest(&body).await
    }

    pub(super) async fn ask_upgrade(&self, body: &Value, token: &str) -> Result<SignedIn> {
        let path = "/auth/upgrade";
        self.http
            .call(Method::POST, path, Some(body), Some(token))
            .await
    }

    async fn make_guest(&self, body: &Value) -> Result<SignedIn> {
        let path = "/auth/guest";
        self.http.call(Method::POST, path, Some(body), None).await
    }
}

/// Whether a stored session is one that these credentials would give: names are the same in upper
/// and lower case.
fn is_for(credentials: Option<&Credentials>, session: &StoredSession) -> bool {
    match (credentials, &session.username) {
        (Some(Credentials::Password { username, .. }), Some(stored)) => {
            stored.to_lowercase() == username.trim().to_lowercase()
        }
        // Of whom it is isn't known.
        (Some(Credentials::Password { .. }), None) => false,
        _ => true,
    }
}

fn needs_proof(error: &Error) -> bool {
    let refusal = error.refusal();
    refusal.is_some_and(|refusal| refusal.code == ErrorCode::ProofRequired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_session_goes_on_except_for_another_account() {
        let mut session = StoredSession::new("a", "r");
        session.username = Some("ann".to_owned());
        let password = |name: &str| Some(Credentials::password(name, "secret"));
        assert!(is_for(None, &session));
        assert!(is_for(Some(&Credentials::guest()), &session));
        assert!(is_for(password("Ann ").as_ref(), &session));
        assert!(!is_for(password("ben").as_ref(), &session));
        session.username = None;
        assert!(!is_for(password("ann").as_ref(), &session));
        assert!(is_for(Some(&Credentials::guest()), &session));
    }
}
