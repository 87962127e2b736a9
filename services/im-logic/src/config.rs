//! Every setting of im-logic, with its default.

use std::fmt;
use std::time::Duration;

use crate::pipeline::PipelineConfig;
use crate::send::SendConfig;
use gochat_core::admission::{self, Registration};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::friendship::REQUEST_COOLDOWN_MS;
use gochat_core::guess::GuessRule;
use gochat_core::message::{EDIT_WINDOW_MS, RECALL_WINDOW_MS};
use gochat_core::proof;
use gochat_core::ratelimit::Rule;
use gochat_infra::token::Algorithm;
use serde::{Deserialize, Serialize};

/// Shortest secret that signs tokens, in bytes: the size of the hash it keys.
pub const SECRET_MIN_BYTES: usize = 32;

/// Configuration of one instance. Every field has a default; only [`Auth::secret`] has none
/// that works.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Tokens.
    pub auth: Auth,
    /// Password hashing.
    pub passwords: Passwords,
    /// Calls to im-repo.
    pub repo: Repo,
    /// Rules with a number in them.
    pub limits: Limits,
    /// What one party may cost others.
    pub budgets: Budgets,
    /// Who may come in.
    pub admission: Admission,
    /// The sequencing workers.
    pub pipeline: PipelineConfig,
    /// The gRPC way to send.
    pub send: SendConfig,
}

impl Config {
    /// Refuses what can't work, with a sentence that names the setting.
    ///
    /// # Errors
    /// `INVALID_PARAMS`.
    pub fn check(&self) -> Result<()> {
        let wrong = |text| Err(Error::new(ErrorCode::InvalidParams, text));
        if self.auth.secret.len() < SECRET_MIN_BYTES {
            return wrong("auth.secret must have at least 32 bytes.");
        }
        if self.auth.access_ttl_s == 0 || self.auth.refresh_ttl_s < self.auth.access_ttl_s {
            return wrong("auth.access_ttl_s must be above 0, auth.refresh_ttl_s not below it.");
        }
        self.budgets.check()?;
        self.admission.check()?;
        if self.auth.sessions_per_user == 0 {
            return wrong("auth.sessions_per_user must be above 0.");
        }
        if self.passwords.concurrency == 0 {
            return wrong("passwords.concurrency must be above 0.");
        }
        Ok(())
    }
}

/// Who may come in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Admission {
    /// Who may make an account: `open`, `invite` or `closed`. Default `open`. A guest becomes an
    /// account only where it is open.
    pub registration: Registration,
    /// Invitation codes of 8 characters or more, each with the number of accounts it is good for,
    /// as `CODE:COUNT`. Default none.
    pub invitations: Vec<String>,
    /// Whether guests are let in. Default true.
    pub guests: bool,
    /// Zero bits of the proof of work that a guest brings; a guest without one is refused with
    /// `PROOF_REQUIRED`. Every bit doubles the work. 0 = no proof, at most 24. Default 0.
    pub guest_proof_bits: u8,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            registration: Registration::default(),
            invitations: Vec::new(),
            guests: true,
            guest_proof_bits: 0,
        }
    }
}

impl Admission {
    /// Refuses codes of another form, without quoting them, and proofs that take too long.
    fn check(&self) -> Result<()> {
        proof::check_difficulty(self.guest_proof_bits).map_err(|e| {
            let text = format!("admission.guest_proof_bits: {}", e.message);
            Error::new(ErrorCode::InvalidParams, text)
        })?;
        for setting in &self.invitations {
            admission::parse_code(setting).map_err(|e| {
                let text = format!("admission.invitations: {}", e.message);
                Error::new(ErrorCode::InvalidParams, text)
            })?;
        }
        Ok(())
    }
}

/// How tokens are made.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// Secret under which private keys are stored, at least [`SECRET_MIN_BYTES`]; with
    /// `algorithm: hs256` the secret that signs tokens, shared with the gateways.
    #[serde(skip_serializing)]
    pub secret: String,
    /// How tokens are signed: `eddsa` (default) or `hs256`. The gateways need the same value.
    pub algorithm: Algorithm,
    /// Seconds between the publication of a key by `gochat admin keys rotate` and its first
    /// signature: the time in which gateways learn it. Default 30.
    pub key_lead_s: u64,
    /// Seconds after which the list of keys is loaded again. Default 10.
    pub keys_refresh_s: u64,
    /// `iss` of every token. Default `im-logic`.
    pub issuer: String,
    /// Life of an access token in seconds. Default 15 minutes.
    pub access_ttl_s: u64,
    /// Life of a refresh token in seconds; every refresh begins it anew. Default 7 days.
    pub refresh_ttl_s: u64,
    /// Maximum number of live sessions per user; beyond it the least recently used one ends.
    /// Default 50.
    pub sessions_per_user: u32,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            secret: String::new(),
            algorithm: Algorithm::default(),
            key_lead_s: 30,
            keys_refresh_s: 10,
            issuer: "im-logic".to_owned(),
            access_ttl_s: 900,
            refresh_ttl_s: 7 * 86_400,
            sessions_per_user: 50,
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("secret", &"[redacted]")
            .field("algorithm", &self.algorithm)
            .field("issuer", &self.issuer)
            .field("access_ttl_s", &self.access_ttl_s)
            .field("refresh_ttl_s", &self.refresh_ttl_s)
            .field("sessions_per_user", &self.sessions_per_user)
            .finish()
    }
}

/// What hashing a password costs (argon2id), and how many are hashed at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Passwords {
    /// Memory per hash in KiB. Default 19,456, the OWASP figure for two passes.
    pub memory_kib: u32,
    /// Passes. Default 2.
    pub passes: u32,
    /// Hashes computed at the same time; bounds CPU and memory. Default 2.
    pub concurrency: usize,
    /// Hashes that may wait; beyond them sign-ins are refused with a retryable error. Default 64.
    pub queue: usize,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            passes: 2,
            concurrency: 2,
            queue: 64,
        }
    }
}

/// How im-repo is called.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Repo {
    /// Longest wait for one answer, in milliseconds. Default 10,000.
    pub timeout_ms: u64,
    /// Attempts for calls that may be repeated. Default 3.
    pub attempts: u32,
}

impl Default for Repo {
    fn default() -> Self {
        Self {
            timeout_ms: 10_000,
            attempts: 3,
        }
    }
}

impl Repo {
    /// [`Self::timeout_ms`] as a duration.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// What one party may cost others: token buckets and growing delays that all instances share.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Budgets {
    /// Failed passwords of one account. Default 10 at once, then one after 30 s, 1 min, 2 min and
    /// so on, at most 15 min; one failure is forgotten per hour. Devices and addresses that the
    /// account was used from within 90 days have budgets of their own.
    pub passwords: GuessRule,
    /// Guests that one address (or IPv6 /64) may create. Default one in 20 s, burst 30.
    pub guests_by_address: Rule,
    /// Guests that are created altogether. Default 5/s, burst 200.
    pub guests: Rule,
    /// Accounts that one address (or IPv6 /64) may register. Default one in 10 s, burst 100.
    pub registrations_by_address: Rule,
    /// Changes of members by one user; each costs rows written × members told. Default 500/s, burst
    /// 25,000.
    pub member_changes_by_user: Rule,
    /// Changes of members in one group, by the same cost. Default 1,000/s, burst 50,000.
    pub member_changes_in_group: Rule,
    /// Changes of names, pictures, texts and settings by one user; each costs the members told.
    /// Default 100/s, burst 10,000.
    pub edits_by_user: Rule,
    /// Friend requests that one user makes. Default 30 an hour, burst 30.
    pub requests_by_user: Rule,
    /// Friend requests that reach one user. Default 60 an hour, burst 60.
    pub requests_to_user: Rule,
    /// Invitation links that one user makes, and codes that one user presents, right or wrong.
    /// Default 60 an hour, burst 30.
    pub invitation_codes: Rule,
    /// Requests to join groups that one user makes. Default 30 an hour, burst 30.
    pub join_requests: Rule,
    /// Searches of one user. Default 2/s, burst 20.
    pub searches: Rule,
    /// Switches all of them off, for load tests. Default false; `gateway.rates.disabled` of the
    /// embedded profile switches them off as well.
    pub disabled: bool,
}

/// Tokens per second of so many an hour.
const fn hourly(count: f64) -> f64 {
    count / 3_600.0
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            passwords: GuessRule::default(),
            guests_by_address: Rule::new(1.0 / 20.0, 30.0),
            guests: Rule::new(5.0, 200.0),
            registrations_by_address: Rule::new(1.0 / 10.0, 100.0),
            member_changes_by_user: Rule::new(500.0, 25_000.0),
            member_changes_in_group: Rule::new(1_000.0, 50_000.0),
            edits_by_user: Rule::new(100.0, 10_000.0),
            requests_by_user: Rule::new(hourly(30.0), 30.0),
            requests_to_user: Rule::new(hourly(60.0), 60.0),
            invitation_codes: Rule::new(hourly(60.0), 30.0),
            join_requests: Rule::new(hourly(30.0), 30.0),
            searches: Rule::new(2.0, 20.0),
            disabled: false,
        }
    }
}

impl Budgets {
    /// Refuses numbers out of range, with the name of the setting.
    fn check(&self) -> Result<()> {
        let named = |name: &str, outcome: Result<()>| {
            outcome.map_err(|e| {
                Error::new(
                    ErrorCode::InvalidParams,
                    format!("budgets.{name}: {}", e.message),
                )
            })
        };
        named("passwords", self.passwords.validated().map(drop))?;
        for (name, rule) in [
            ("guests_by_address", self.guests_by_address),
            ("guests", self.guests),
            ("registrations_by_address", self.registrations_by_address),
            ("member_changes_by_user", self.member_changes_by_user),
            ("member_changes_in_group", self.member_changes_in_group),
            ("edits_by_user", self.edits_by_user),
            ("requests_by_user", self.requests_by_user),
            ("requests_to_user", self.requests_to_user),
            ("invitation_codes", self.invitation_codes),
            ("join_requests", self.join_requests),
            ("searches", self.searches),
        ] {
            named(name, rule.validated().map(drop))?;
        }
        Ok(())
    }
}

/// Rules with a number in them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// How long an author may recall a message, in milliseconds. Default 120,000.
    pub recall_window_ms: u64,
    /// How long an author may edit a message, in milliseconds; 0 switches edits off. Default
    /// 172,800,000, two days.
    pub edit_window_ms: u64,
    /// Members answered together with a conversation. Default 1,000.
    pub members_with_conversation: i32,
    /// Maximum number of conversations of one user. Users beyond it aren't added to groups and make
    /// none: `TOO_MANY_CONVERSATIONS`. Default 2,000.
    pub conversations_per_user: i32,
    /// How often users who are no friends may add one user to groups, per day; beyond it the user
    /// is invited. 0 = without a limit. Default 50.
    pub strangers_adds_per_day: u32,
    /// Life of an invitation in seconds. Default 14 days.
    pub invitation_ttl_s: i64,
    /// Maximum number of open invitations of one user; further ones are refused with
    /// `RATE_LIMITED`. Default 100.
    pub invitations_per_user: i32,
    /// Maximum number of open invitation links of one group, at most 100; further ones are refused
    /// with `TOO_MANY_INVITATIONS`. Default 50.
    pub invitation_links_per_group: i32,
    /// Maximum number of open requests to join groups of one user; further ones are refused with
    /// `RATE_LIMITED`. Default 20.
    pub join_requests_per_user: i32,
    /// The same of one group. Default 500.
    pub join_requests_per_group: i32,
    /// Time after a refused friend request, or a refused request to join a group, in which the same
    /// user or group isn't asked again, in seconds. Requests before it are refused with
    /// `RATE_LIMITED`. 0 = none. Default 86,400.
    pub request_cooldown_s: u64,
    /// Whether new groups write what happens to them into their timelines: the value of
    /// `system_messages` in the settings they begin with. Default true.
    pub system_messages: bool,
    /// Time between two looks for system messages that an instance left unsent, and the age from
    /// which they count as left, in milliseconds. Default 5,000.
    pub system_sweep_ms: u64,
    /// How long a change waits until its sequencer has passed it, in milliseconds. Default 8,000,
    /// below the gateway's deadline for a call.
    pub facts_timeout_ms: u64,
}

impl Limits {
    /// [`Self::facts_timeout_ms`] as a duration.
    pub fn facts_timeout(&self) -> Duration {
        Duration::from_millis(self.facts_timeout_ms)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            recall_window_ms: RECALL_WINDOW_MS,
            edit_window_ms: EDIT_WINDOW_MS,
            members_with_conversation: 1_000,
            conversations_per_user: 2_000,
            strangers_adds_per_day: 50,
            invitation_ttl_s: 14 * 86_400,
            invitations_per_user: 100,
            invitation_links_per_group: 50,
            join_requests_per_user: 20,
            join_requests_per_group: 500,
            request_cooldown_s: REQUEST_COOLDOWN_MS / 1_000,
            system_messages: true,
            system_sweep_ms: 5_000,
            facts_timeout_ms: 8_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_secret_is_missing_from_the_defaults() {
        let mut config = Config::default();
        assert!(config.check().is_err());
        config.auth.secret = "s".repeat(SECRET_MIN_BYTES);
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn a_proof_has_a_maximum() {
        let admission = |guest_proof_bits| Admission {
            guest_proof_bits,
            ..Admission::default()
        };
        assert_eq!(admission(24).check(), Ok(()));
        let refusal = admission(25).check().unwrap_err();
        assert!(refusal.message.contains("admission.guest_proof_bits"));
    }

    #[test]
    fn the_secret_is_never_printed() {
        let auth = Auth {
            secret: "hush".repeat(8),
            ..Auth::default()
        };
        assert!(!format!("{auth:?}").contains("hush"));
    }
}
