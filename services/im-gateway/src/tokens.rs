//! Access tokens, checked on the spot: signature, issuer, expiry, type. Ended sessions are asked
//! separately, see [`crate::revocations`].
//!
//! The gateway holds public keys, which it loads from im-logic: at the start, now and then, and
//! when a token names a key that the gateway does not know. With `algorithm: hs256` the gateway
//! holds the shared secret instead.

use std::time::{Duration, Instant};

use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::UserId;
use gochat_core::token::SessionId;
use gochat_infra::rpc::Backoff;
use gochat_infra::token::{self, Algorithm, Claims, Kind, KnownTokens, Refusal, VerifyingKey};
use gochat_proto::im::logic::v1::GetPublicKeysRequest;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::config::Auth;
use crate::state::{Gw, Shared};

/// Minimum time between two loads that unknown keys cause, and the maximum time a request waits
/// for one: a stranger who invents keys can't make im-logic work.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(1);

/// Who speaks, as the token says.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The user.
    pub(crate) user: UserId,
    /// Whether the account is a guest's.
    pub(crate) guest: bool,
    /// Name at the time of the login; `None` when the token doesn't say.
    pub(crate) username: Option<Box<str>>,
    /// Session of the token.
    pub(crate) session: SessionId,
    /// Unix seconds.
    pub(crate) issued_at: i64,
    /// Unix seconds.
    pub(crate) expires_at: i64,
}

impl Identity {
    /// A token from before sessions must be renewed: the session's row judges it then.
    fn of(claims: &Claims) -> Result<Self, Refusal> {
        let username = claims.username.as_str();
        Ok(Self {
            user: claims.user_id,
            guest: claims.is_guest,
            username: (!username.is_empty()).then(|| username.into()),
            session: claims.sid.ok_or(Refusal::Expired)?,
            issued_at: claims.iat,
            expires_at: claims.exp,
        })
    }
}

/// Checks tokens of one issuer.
pub(crate) struct Verifier {
    inner: token::Verifier,
    /// Whether the keys come from im-logic.
    follows: bool,
    refresh: Duration,
    /// When the keys were last asked for because of an unknown one.
    asked: Mutex<Option<Instant>>,
}

impl Verifier {
    #[cfg(test)]
    pub(crate) fn new(auth: &Auth) -> Self {
        Self::with_known(auth, None)
    }

    /// A verifier that shares what is known; without that it remembers tokens of its own.
    pub(crate) fn with_known(auth: &Auth, known: Option<KnownTokens>) -> Self {
        let own = || KnownTokens::new(auth.remembered_tokens);
        let known = (auth.remembered_tokens > 0).then(|| known.unwrap_or_else(own));
        let inner = token::Verifier::with_known(&auth.issuer, known);
        if auth.algorithm == Algorithm::Hs256 && !auth.secret.is_empty() {
            inner.replace([VerifyingKey::hs256(auth.secret.as_bytes())]);
        }
        Self {
            inner,
            follows: auth.algorithm == Algorithm::EdDsa,
            refresh: Duration::from_secs(auth.keys_refresh_s.max(1)),
            asked: Mutex::new(None),
        }
    }

    /// Whether a token could be judged.
    pub(crate) fn has_keys(&self) -> bool {
        self.inner.has_keys()
    }

    fn verify(&self, token: &str) -> Result<Identity, Refusal> {
        let began = Instant::now();
        let judged = self
            .inner
            .verify(token, Kind::Access, crate::clock::now_s());
        crate::metrics::token_checked(began.elapsed());
        judged.and_then(|claims| Identity::of(&claims))
    }
}

impl Shared {
    /// Who the token speaks for. A token of an unknown key makes the gateway load the keys, at
    /// most once per [`UNKNOWN_KEY_PAUSE`].
    ///
    /// # Errors
    /// `TOKEN_EXPIRED` for a token that was good once, `SERVICE_UNAVAILABLE` before the first load
    /// of the keys, else `INVALID_TOKEN`.
    pub(crate) async fn identify(&self, token: &str) -> Result<Identity, Error> {
        match self.verifier.verify(token) {
            Err(Refusal::UnknownKey) if self.verifier.follows => {
                self.load_unknown_key().await;
                self.verifier.verify(token).map_err(Error::from)
            }
            judged => judged.map_err(Error::from),
        }
    }

    async fn load_unknown_key(&self) {
        let mut asked = self.verifier.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < UNKNOWN_KEY_PAUSE) {
            return;
        }
        *asked = Some(Instant::now());
        match tokio::time::timeout(UNKNOWN_KEY_PAUSE, self.load_keys()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the public keys can't be loaded"),
            Err(_) => tracing::warn!("the public keys could not be loaded in time"),
        }
    }

    /// Loads the public keys, unless tokens are HS256.
    ///
    /// # Errors
    /// im-logic is away, or signs in another way than the gateway expects.
    pub(crate) async fn load_keys(&self) -> Result<(), Error> {
        if !self.verifier.follows {
            return Ok(());
        }
        let answer = self
            .backend
            .get_public_keys(GetPublicKeysRequest {})
            .await?;
        let keys = answer
            .keys
            .iter()
            .map(|key| VerifyingKey::ed25519(&key.kid, &key.public_key))
            .collect::<Result<Vec<_>, Error>>()?;
        if keys.is_empty() {
            return Err(Error::new(
                ErrorCode::Internal,
                "im-logic has no public keys: it signs with hs256, and `gateway.auth.algorithm` must say so.",
            ));
        }
        self.verifier.inner.replace(keys);
        Ok(())
    }
}

/// Keeps the public keys current until the gateway stops.
pub(crate) async fn follow_keys(gw: Gw, stop: CancellationToken) {
    if !gw.verifier.follows {
        return;
    }
    let mut backoff = Backoff::default();
    let mut pause = match gw.verifier.has_keys() {
        true => gw.verifier.refresh,
        false => Duration::ZERO,
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match gw.load_keys().await {
            Ok(()) => {
                backoff = Backoff::default();
                gw.verifier.refresh
            }
            Err(error) => {
                tracing::warn!(%error, "the public keys can't be loaded; trying again");
                backoff.next_delay()
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gochat_infra::token::Signer;

    fn verifier(secret: &str) -> Verifier {
        Verifier::new(&Auth {
            secret: secret.into(),
            algorithm: Algorithm::Hs256,
            ..Auth::default()
        })
    }

    fn claims() -> Claims {
        let now = crate::clock::now_s();
        let user = UserId::new(7).unwrap();
        Claims {
            user_id: user,
            kind: Kind::Access,
            jti: "x".into(),
            iat: now,
            exp: now + 60,
            iss: "im-logic".into(),
            sub: user,
            username: String::new(),
            is_guest: false,
            sid: Some(SessionId::new(9)),
            generation: 0,
        }
    }

    #[test]
    fn a_good_token_names_its_user() {
        let token = Signer::hs256(b"s3cret").sign(&claims()).unwrap();
        let identity = verifier("s3cret").verify(&token).unwrap();
        assert_eq!(identity.user.get(), 7);
        assert!(!identity.guest);
        assert_eq!(identity.username, None);
        assert_eq!(identity.session, SessionId::new(9));
    }

    #[test]
    fn a_refresh_token_opens_nothing() {
        let refresh = Claims {
            kind: Kind::Refresh,
            ..claims()
        };
        let token = Signer::hs256(b"s3cret").sign(&refresh).unwrap();
        let refusal = verifier("s3cret").verify(&token).unwrap_err();
        assert_eq!(refusal, Refusal::Invalid);
    }

    #[test]
    fn without_a_key_nobody_gets_in() {
        let token = Signer::hs256(b"").sign(&claims()).unwrap();
        for open in [verifier(""), Verifier::new(&Auth::default())] {
            let error = Error::from(open.verify(&token).unwrap_err());
            assert_eq!(error.code, ErrorCode::ServiceUnavailable);
        }
    }

    #[test]
    fn a_token_without_a_session_must_be_renewed() {
        let old = Claims {
            sid: None,
            ..claims()
        };
        let token = Signer::hs256(b"s3cret").sign(&old).unwrap();
        let refusal = verifier("s3cret").verify(&token).unwrap_err();
        assert_eq!(refusal, Refusal::Expired);
        // The same from an earlier version, at a gateway that holds public keys only.
        let pair = token::KeyPair::generate().unwrap();
        let by_key = Verifier::new(&Auth::default());
        by_key
            .inner
            .replace([VerifyingKey::ed25519("1", pair.public()).unwrap()]);
        let refusal = by_key.verify(&token).unwrap_err();
        assert_eq!(Error::from(refusal).code, ErrorCode::TokenExpired);
    }
}
