//! Proofs of work that guests bring where the settings ask for them.

use gochat_core::error::Result;
use gochat_core::ids::UnixMillis;
use gochat_core::proof::{self, CLOCK_SLACK_MS, Challenge, Purpose};
use gochat_infra::token::{TagKey, to_hex};
use gochat_proto::im::repo::v1 as pb;
use rand::Rng as _;

use crate::repo::Repo;

/// Makes challenges and judges proofs. Every instance has the same key, so that a challenge of one
/// of them is solved for all.
pub(crate) struct Proofs {
    repo: Repo,
    key: TagKey,
    difficulty: u8,
}

impl Proofs {
    pub(crate) fn new(repo: Repo, secret: &str, difficulty: u8) -> Self {
        Self {
            repo,
            key: TagKey::derive(secret.as_bytes(), b"challenge v1"),
            difficulty,
        }
    }

    /// A challenge for a guest, with its text; `None` where guests need none.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for a difficulty that the settings can't have.
    pub(crate) fn challenge(&self, now: UnixMillis) -> Result<Option<(Challenge, String)>> {
        if self.difficulty == 0 {
            return Ok(None);
        }
        let nonce = rand::rng().random();
        let challenge = Challenge::new(Purpose::Guest, self.difficulty, now, nonce)?;
        let text = challenge.text(|payload| self.key.tag(payload));
        Ok(Some((challenge, text)))
    }

    /// Judges the proof of a guest without using it up; `None` where guests need none.
    ///
    /// # Errors
    /// `PROOF_REQUIRED`.
    pub(crate) fn judge(&self, proof: &str, now: UnixMillis) -> Result<Option<Challenge>> {
        if self.difficulty == 0 {
            return Ok(None);
        }
        let is_genuine = |payload: &[u8], tag: &[u8]| self.key.verify(payload, tag);
        let outcome = proof::judge(proof, Purpose::Guest, now, is_genuine);
        if outcome.is_err() {
            refused();
        }
        outcome.map(Some)
    }

    /// Uses a proof up.
    ///
    /// # Errors
    /// `PROOF_REQUIRED` when the proof was used before; those of im-repo.
    pub(crate) async fn use_up(&self, proof: &Challenge, now: UnixMillis) -> Result<()> {
        let rest = proof.expires_at().saturating_sub(now);
        let request = pb::UseProofRequest {
            proof: to_hex(&proof.nonce()),
            life_ms: i64::try_from(rest.saturating_add(CLOCK_SLACK_MS)).unwrap_or(i64::MAX),
        };
        if self.repo.use_proof(request).await?.first {
            return Ok(());
        }
        refused();
        Err(proof::used())
    }
}

fn refused() {
    metrics::counter!("gochat_proofs_refused_total").increment(1);
}
