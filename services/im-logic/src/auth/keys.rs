//! The keys of tokens: made, loaded, rotated. Which key signs and which keys verify is decided by
//! [`gochat_core::token::keys`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UnixMillis;
use gochat_core::token::keys::{self as rules, KeyTimes, Policy};
use gochat_infra::token::{
    Algorithm, Claims, KeyPair, Kind, Refusal, SealingKey, Signer, Verifier, VerifyingKey,
    from_hex, to_hex,
};
use gochat_proto::im::repo::v1 as pb;
use parking_lot::RwLock;
use tokio::sync::Mutex;

use crate::clock;
use crate::config::Auth;
use crate::repo::Repo;

/// Minimum time between two loads that an unknown key causes: a stranger can't make im-repo work.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(1);
/// Attempts to add a key beside other instances that do the same.
const ADD_ATTEMPTS: usize = 4;
/// Name of the algorithm of keys that are stored.
const EDDSA: &str = "EdDSA";

/// A key with everything that is known of it.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) generation: i64,
    pub(crate) kid: String,
    pub(crate) public: Vec<u8>,
    pub(crate) created_at: UnixMillis,
    pub(crate) times: KeyTimes,
    /// `None` for a key that was sealed under another secret.
    pub(crate) signer: Option<Signer>,
}

/// What an instance knows of the keys.
#[derive(Clone)]
struct Known {
    keys: Arc<[Key]>,
    loaded: Instant,
}

/// The keys of one instance.
pub(crate) struct Keys {
    /// Signs in place of stored keys when tokens are HS256.
    shared_secret: Option<Signer>,
    /// Verifies tokens from before the keys, which were signed with the secret.
    former: Verifier,
    sealing: SealingKey,
    policy: Policy,
    refresh: Duration,
    repo: Repo,
    known: RwLock<Option<Known>>,
    loading: Mutex<()>,
    pub(super) verifier: Verifier,
}

impl Keys {
    /// # Errors
    /// `INTERNAL_ERROR` when the sealing key can't be derived.
    pub(crate) fn new(repo: Repo, config: &Auth) -> Result<Self> {
        let secret = config.secret.as_bytes();
        let verifier = Verifier::new(&config.issuer, 0);
        let former = Verifier::new(&config.issuer, 0);
        former.replace([VerifyingKey::hs256(secret)]);
        let shared_secret = match config.algorithm {
            Algorithm::EdDsa => None,
            Algorithm::Hs256 => {
                verifier.replace([VerifyingKey::hs256(secret)]);
                Some(Signer::hs256(secret))
            }
        };
        Ok(Self {
            shared_secret,
            former,
            sealing: SealingKey::derive(secret)?,
            policy: Policy {
                lead_ms: config.key_lead_s.saturating_mul(1_000),
                token_life_ms: config
                    .access_ttl_s
                    .max(config.refresh_ttl_s)
                    .saturating_mul(1_000),
            },
            refresh: Duration::from_secs(config.keys_refresh_s.max(1)),
            repo,
            known: RwLock::new(None),
            loading: Mutex::new(()),
            verifier,
        })
    }

    /// Whether tokens are signed with the shared secret.
    pub(crate) fn is_shared_secret(&self) -> bool {
        self.shared_secret.is_some()
    }

    /// The key that signs now.
    ///
    /// # Errors
    /// Those of im-repo while the keys were never loaded.
    pub(crate) async fn signer(&self) -> Result<Signer> {
        if let Some(signer) = &self.shared_secret {
            return Ok(signer.clone());
        }
        let keys = self.current().await?;
        if let Some(signer) = signing(&keys) {
            return Ok(signer);
        }
        tracing::warn!(
            "no signing key opens under this secret: a new one is made; tokens of the others stay valid"
        );
        let _one = self.loading.lock().await;
        if let Some(signer) = self.known.read().as_ref().and_then(|k| signing(&k.keys)) {
            return Ok(signer);
        }
        let keys = self.add().await?;
        signing(&keys).ok_or_else(|| ErrorCode::Internal.into())
    }

    /// Every key that has not retired, oldest first. The list is at most `keys_refresh_s` old
    /// while im-repo answers. Makes the first key.
    ///
    /// # Errors
    /// Those of im-repo while the keys were never loaded.
    pub(crate) async fn current(&self) -> Result<Arc<[Key]>> {
        let known = self.known.read().clone();
        let Some(known) = known else {
            return self.load_unless(|_| true).await;
        };
        if known.loaded.elapsed() < self.refresh {
            return Ok(known.keys);
        }
        match self
            .load_unless(|loaded| loaded.elapsed() < self.refresh)
            .await
        {
            Err(error) => {
                tracing::warn!(%error, "the signing keys can't be loaded again; the known ones are used");
                Ok(known.keys)
            }
            loaded => loaded,
        }
    }

    /// Loads the keys because a token names an unknown one; does nothing when they were loaded a
    /// moment ago.
    pub(super) async fn load_for_unknown(&self) -> Result<()> {
        self.load_unless(|loaded| loaded.elapsed() < UNKNOWN_KEY_PAUSE)
            .await
            .map(drop)
    }

    /// What a token says that an earlier version signed with the secret. Only tokens without a
    /// session are taken: nothing makes them any more, and the session's row judges what they are
    /// traded for.
    pub(super) fn verify_former(
        &self,
        token: &str,
        kind: Kind,
        now: i64,
    ) -> Result<Arc<Claims>, Refusal> {
        let claims = self.former.verify(token, kind, now)?;
        match claims.sid {
            None => Ok(claims),
            Some(_) => Err(Refusal::Invalid),
        }
    }

    /// Publishes a new key, which signs after the lead time.
    ///
    /// # Errors
    /// `INVALID_PARAMS` when tokens are HS256, `VERSION_CONFLICT` while a rotation is under way.
    pub(crate) async fn rotate(&self) -> Result<Key> {
        self.refuse_shared_secret()?;
        let _one = self.loading.lock().await;
        let keys = self.add().await?;
        keys.last()
            .cloned()
            .ok_or_else(|| ErrorCode::Internal.into())
    }

    /// Loads the keys, one call at a time, unless they were loaded meanwhile and that is enough.
    async fn load_unless(&self, is_enough: impl Fn(Instant) -> bool) -> Result<Arc<[Key]>> {
        let _one = self.loading.lock().await;
        if let Some(known) = self.known.read().clone()
            && is_enough(known.loaded)
        {
            return Ok(known.keys);
        }
        let keys = self.list().await?;
        if keys.is_empty() {
            return self.add().await;
        }
        self.take(keys)
    }

    async fn list(&self) -> Result<Vec<Key>> {
        let answer = self.repo.signing_keys(pb::ListSigningKeysRequest {});
        let rows = answer.await?.keys;
        rows.into_iter().map(|row| self.key(row)).collect()
    }

    /// Ends a key at once. The key that signs, or the newest one, gets a successor first, which is
    /// the answer. Other instances obey within `keys_refresh_s`.
    ///
    /// # Errors
    /// `NOT_FOUND` for a key that is not there (any more), `INVALID_PARAMS` when tokens are HS256,
    /// `VERSION_CONFLICT` when other instances add keys at the same time; retryable ones.
    pub(crate) async fn revoke(&self, kid: &str) -> Result<Option<Key>> {
        self.refuse_shared_secret()?;
        let _one = self.loading.lock().await;
        let keys = self.list().await?;
        let now = clock::now_ms();
        let unknown = || {
            Error::new(
                ErrorCode::NotFound,
                "There is no such key, or it has retired.",
            )
        };
        let revoked = keys.iter().position(|key| key.kid == kid);
        let revoked = revoked.ok_or_else(unknown)?;
        let signs = signing_key(&keys).map(|signs| signs.generation);
        let signs = keys.iter().position(|key| Some(key.generation) == signs);
        let times: Vec<_> = keys.iter().map(|key| key.times).collect();
        let plan = rules::revoke(&times, revoked, signs, now, self.policy)?;
        let successor = match plan.successor {
            None => None,
            Some(plan) => {
                let added = self.add_behind(&keys, now, plan).await?;
                Some(added.ok_or(ErrorCode::VersionConflict)?)
            }
        };
        let request = pb::RetireSigningKeyRequest {
            kid: kid.to_owned(),
            retires_at_ms: millis(now),
        };
        self.repo.retire_signing_key(request).await?;
        let keys = self.take(self.list().await?)?;
        tracing::warn!(kid, "a signing key was revoked");
        let made = |kid: &String| keys.iter().find(|key| key.kid == *kid).cloned();
        Ok(successor.as_ref().and_then(made))
    }

    fn refuse_shared_secret(&self) -> Result<()> {
        match self.is_shared_secret() {
            false => Ok(()),
            true => Err(Error::new(
                ErrorCode::InvalidParams,
                "Tokens are signed with JWT_SECRET (auth.algorithm = \"hs256\"): change the secret of all services instead.",
            )),
        }
    }

    /// Adds a key behind the newest one. An instance that was quicker wins: its key is taken.
    async fn add(&self) -> Result<Arc<[Key]>> {
        for _ in 0..ADD_ATTEMPTS {
            let keys = self.list().await?;
            let times: Vec<_> = keys.iter().map(|key| key.times).collect();
            let now = clock::now_ms();
            let plan = rules::rotate(&times, now, self.policy)?;
            let added = self.add_behind(&keys, now, plan).await?;
            let is_first = keys.is_empty();
            let keys = self.take(self.list().await?)?;
            if added.is_some() || (is_first && !keys.is_empty()) {
                return Ok(keys);
            }
        }
        Err(ErrorCode::VersionConflict.into())
    }

    /// Adds one key behind these; its name, or `None` when another instance was quicker.
    async fn add_behind(
        &self,
        keys: &[Key],
        now: UnixMillis,
        plan: rules::Rotation,
    ) -> Result<Option<String>> {
        let generation = keys.last().map_or(1, |key| key.generation + 1);
        let row = self.make(generation, now, plan.times)?;
        let kid = row.kid.clone();
        let request = pb::AddSigningKeyRequest {
            key: Some(row),
            previous_retires_at_ms: millis(plan.previous_retires_at.unwrap_or(now)),
        };
        if !self.repo.add_signing_key(request).await?.added {
            return Ok(None);
        }
        tracing::info!(kid, "a signing key was published");
        Ok(Some(kid))
    }

    fn make(&self, generation: i64, now: UnixMillis, times: KeyTimes) -> Result<pb::SigningKey> {
        let pair = KeyPair::generate()?;
        let kid = uuid::Uuid::now_v7().simple().to_string();
        Ok(pb::SigningKey {
            generation,
            algorithm: EDDSA.to_owned(),
            public_key: to_hex(pair.public()),
            sealed_key: to_hex(&self.sealing.seal(&kid, pair.seed())?),
            kid,
            created_at_ms: millis(now),
            signs_from_ms: millis(times.signs_from),
            retires_at_ms: 0,
        })
    }

    fn key(&self, row: pb::SigningKey) -> Result<Key> {
        let broken = || Error::new(ErrorCode::Internal, "A stored signing key can't be read.");
        let sealed = from_hex(&row.sealed_key).ok_or_else(broken)?;
        let signer = self
            .sealing
            .open(&row.kid, &sealed)
            .and_then(|seed| KeyPair::from_seed(&seed).ok())
            .map(|pair| Signer::ed25519(&row.kid, &pair));
        let at = |ms: i64| UnixMillis::try_from(ms).unwrap_or(0);
        Ok(Key {
            generation: row.generation,
            created_at: at(row.created_at_ms),
            public: from_hex(&row.public_key).ok_or_else(broken)?,
            times: KeyTimes {
                signs_from: at(row.signs_from_ms),
                retires_at: (row.retires_at_ms > 0).then(|| at(row.retires_at_ms)),
            },
            signer,
            kid: row.kid,
        })
    }

    fn take(&self, keys: Vec<Key>) -> Result<Arc<[Key]>> {
        let public = keys
            .iter()
            .map(|key| VerifyingKey::ed25519(&key.kid, &key.public))
            .collect::<Result<Vec<_>>>()?;
        self.verifier.replace(public);
        let keys: Arc<[Key]> = keys.into();
        let loaded = Instant::now();
        *self.known.write() = Some(Known {
            keys: Arc::clone(&keys),
            loaded,
        });
        Ok(keys)
    }
}

/// The key that signs now, among those that can.
fn signing(keys: &[Key]) -> Option<Signer> {
    signing_key(keys)?.signer.clone()
}

/// The key that signs now.
pub(crate) fn signing_key(keys: &[Key]) -> Option<&Key> {
    let able: Vec<&Key> = keys.iter().filter(|key| key.signer.is_some()).collect();
    let times: Vec<_> = able.iter().map(|key| key.times).collect();
    let chosen = rules::signing(&times, clock::now_ms())?;
    able.get(chosen).copied()
}

fn millis(at: UnixMillis) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
