//! RateLimitService: the buckets that instances share.

use std::time::Duration;

use gochat_core::error::Result;
use gochat_core::guess::GuessRule;
use gochat_core::ids::UserId;
use gochat_core::ratelimit::Rule;
use gochat_infra::port::counter::Verdict;
use gochat_proto::im::repo::v1::{rate_limit_service_server::RateLimitService, *};

use crate::rpc::serve;
use crate::services::api;
use crate::{args, convert};

/// Longest name of a resource, in characters.
const RESOURCE_MAX: usize = 256;
/// Longest name of a rule, in characters.
const RULE_MAX: usize = 64;
/// Longest name of a budget of failed passwords: an account's with a place.
const BUDGET_MAX: usize = RESOURCE_MAX + PLACE_MAX + 16;
/// Longest hash of a place.
const PLACE_MAX: usize = 64;
/// Most places of one guess.
const PLACES_MAX: usize = 4;
/// How long a place is known after a sign-in from there, in milliseconds: 90 days.
pub(crate) const PLACE_LIFE_MS: u64 = 90 * 86_400_000;
/// A place is noted again after this time, in milliseconds: a day.
const PLACE_FRESH_MS: u64 = 86_400_000;
/// Longest name of a proof, in characters.
const PROOF_MAX: usize = 128;
/// Longest life of a used proof, in milliseconds: an hour.
const PROOF_LIFE_MAX_MS: u64 = 3_600_000;

api!(
    /// Rate limits.
    RateLimitApi
);

serve!(impl RateLimitService => RateLimitApi {
    allow(AllowRequest) -> AllowResponse;
    guess(GuessRequest) -> GuessResponse;
    confirm_guess(ConfirmGuessRequest) -> ConfirmGuessResponse;
    use_proof(UseProofRequest) -> UseProofResponse;
});

impl RateLimitApi {
    async fn allow(&self, request: AllowRequest) -> Result<AllowResponse> {
        let resource = args::text(&request.resource, "resource", RESOURCE_MAX)?;
        let rule = rule_name(&request.rule)?;
        let numbers = Rule::new(request.rate, request.burst).validated()?;
        let cost = u64::try_from(request.cost).map_err(|_| args::invalid("`cost` is negative."))?;
        let limiter = &self.shared.limiter;
        let verdict = limiter.charge(resource, rule, numbers, cost).await;
        let (allowed, retry_after_ms) = answer(verdict);
        Ok(AllowResponse {
            allowed,
            retry_after_ms,
        })
    }

    async fn guess(&self, request: GuessRequest) -> Result<GuessResponse> {
        let account = args::text(&request.account, "account", RESOURCE_MAX)?;
        let rule = guess_rule(&request)?;
        let known = match args::user_or_none(&request.user_id, "user_id")? {
            Some(user) => self.known_place(user, places(&request.places)?).await,
            None => None,
        };
        let budget = match &known {
            Some(place) => format!("known:{account}:{place}"),
            None => format!("strangers:{account}"),
        };
        let (allowed, retry_after_ms) = answer(self.shared.limiter.guess(&budget, rule).await);
        Ok(GuessResponse {
            allowed,
            retry_after_ms,
            budget,
            known: known.is_some(),
        })
    }

    async fn confirm_guess(&self, request: ConfirmGuessRequest) -> Result<ConfirmGuessResponse> {
        let budget = args::text(&request.budget, "budget", BUDGET_MAX)?;
        self.shared.limiter.forgive(budget).await;
        if let Some(user) = args::user_or_none(&request.user_id, "user_id")? {
            self.note_places(user, places(&request.places)?).await;
        }
        Ok(ConfirmGuessResponse {})
    }

    async fn use_proof(&self, request: UseProofRequest) -> Result<UseProofResponse> {
        let proof = args::text(&request.proof, "proof", PROOF_MAX)?;
        let life = u64::try_from(request.life_ms).unwrap_or(0);
        if !(1..=PROOF_LIFE_MAX_MS).contains(&life) {
            return Err(args::invalid("`life_ms` is 1 to 3600000."));
        }
        let (proofs, shared) = (&self.shared.proofs, &*self.shared.once);
        let life = Duration::from_millis(life);
        let first = proofs.use_up(shared, proof, life).await?;
        Ok(UseProofResponse { first })
    }

    /// The first of the places that the user signed in from before. Without an answer of the
    /// database the guess counts as a stranger's.
    async fn known_place(&self, user: UserId, places: Vec<String>) -> Option<String> {
        let since = self.shared.now().saturating_sub(PLACE_LIFE_MS);
        let known = self.shared.db.known_places(user, places, since).await;
        match known {
            Ok(known) => known.into_iter().next().map(|(place, _)| place),
            Err(error) => {
                tracing::warn!(%error, "known places can't be read; a sign-in counts as a stranger's");
                None
            }
        }
    }

    /// Remembers places; one that was noted within a day isn't written again. A failure costs the
    /// owner the own budget of that place, not the sign-in.
    async fn note_places(&self, user: UserId, places: Vec<String>) {
        let (db, now) = (&self.shared.db, self.shared.now());
        let fresh = now.saturating_sub(PLACE_FRESH_MS);
        let known = db.known_places(user, places.clone(), fresh).await;
        let known = known.unwrap_or_default();
        for place in places {
            if known.iter().any(|(seen, _)| *seen == place) {
                continue;
            }
            if let Err(error) = db.note_place(user, &place, now).await {
                tracing::warn!(%error, "a known place can't be written");
            }
        }
    }
}

/// The rule a guess is judged by.
fn guess_rule(request: &GuessRequest) -> Result<GuessRule> {
    let free = u32::try_from(request.free).unwrap_or(0);
    let time = |ms: i64| u64::try_from(ms).unwrap_or(0);
    GuessRule {
        free,
        first_delay_ms: time(request.first_delay_ms),
        max_delay_ms: time(request.max_delay_ms),
        forget_ms: time(request.forget_ms),
    }
    .validated()
}

/// Places by their hashes.
fn places(places: &[String]) -> Result<Vec<String>> {
    let plain = |place: &&String| {
        (1..=PLACE_MAX).contains(&place.len()) && place.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if places.len() <= PLACES_MAX && places.iter().all(|place| plain(&place)) {
        Ok(places.to_vec())
    } else {
        Err(args::invalid(
            "`places` holds at most 4 hashes of 1 to 64 letters and digits.",
        ))
    }
}

/// A verdict as answers tell it: milliseconds are at least one after a refusal.
fn answer(verdict: Verdict) -> (bool, i64) {
    match verdict {
        Verdict::Allowed => (true, 0),
        Verdict::Limited { retry_after } => (false, millis(retry_after)),
    }
}

/// A name without a colon: in a bucket's key it stands before the resource, and two of them must not meet.
fn rule_name(name: &str) -> Result<&str> {
    let name = args::text(name, "rule", RULE_MAX)?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.bytes().all(plain) {
        Ok(name)
    } else {
        Err(args::invalid("`rule` consists of a-z, 0-9 and _."))
    }
}

/// Whole milliseconds, at least one.
fn millis(wait: Duration) -> i64 {
    convert::wide(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)).max(1)
}
