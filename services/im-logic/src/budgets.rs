//! Budgets of what one party may cost others, kept by im-repo for all instances.

use std::sync::atomic::{AtomicBool, Ordering};

use gochat_core::admission::{Admitted, Registration, admit};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::ratelimit::{Rule, RuleTable};
use gochat_infra::embedded::counter::MemoryLimiter;
use gochat_infra::port::counter::Verdict;
use gochat_infra::token::hash_of;
use gochat_proto::im::repo::v1 as pb;

use crate::config::{self, Admission};
use crate::repo::Repo;

/// Shortest device id that counts as a known place: shorter ones can be guessed.
const DEVICE_MIN_BYTES: usize = 16;
/// Budgets of this process while im-repo doesn't judge.
const LOCAL_BUDGETS: usize = 10_000;
/// What a process that judges alone takes of a budget: the part of one of a few.
const LOCAL_SHARE: f64 = 4.0;

/// Where a request comes from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin<'a> {
    /// Network of the client; empty when the caller doesn't say.
    pub(crate) address: &'a str,
    /// What the client calls its device; may be empty.
    pub(crate) device: &'a str,
}

impl Origin<'_> {
    /// What may be known about a user's sign-ins, the most telling first. Hashes, so that what is
    /// stored names neither the address nor the device.
    fn places(&self, user: UserId) -> Vec<String> {
        let device = (self.device.len() >= DEVICE_MIN_BYTES).then_some(("device", self.device));
        let address = (!self.address.is_empty()).then_some(("address", self.address));
        let places = device.into_iter().chain(address);
        places
            .map(|(kind, value)| hash_of(&format!("{user} {kind} {value}")))
            .collect()
    }
}

/// A guess that was let through, to be confirmed when the password was right.
pub(crate) struct Guess {
    /// Empty when this process judged alone.
    budget: String,
    /// The budget of this process.
    account: String,
    user_id: String,
    places: Vec<String>,
}

/// The budgets of one instance, and the way to those that all share.
pub(crate) struct Budgets {
    repo: Repo,
    config: config::Budgets,
    admission: config::Admission,
    local: MemoryLimiter,
    /// Whether the last question found no answer: the log tells of changes only.
    away: AtomicBool,
}

impl Budgets {
    pub(crate) fn new(repo: Repo, config: config::Budgets, admission: config::Admission) -> Self {
        Self {
            repo,
            config,
            admission,
            local: MemoryLimiter::new(RuleTable::default(), LOCAL_BUDGETS),
            away: AtomicBool::new(false),
        }
    }

    /// Counts a password for an account before it is compared. Names without an account have
    /// budgets, too, so that the answer doesn't tell whether there is one.
    ///
    /// # Errors
    /// `RATE_LIMITED` with the time at which the next password is judged.
    pub(crate) async fn guess(
        &self,
        username: &str,
        user: Option<UserId>,
        origin: Origin<'_>,
    ) -> Result<Guess> {
        let rule = self.config.passwords;
        let account = hash_of(&username.to_lowercase());
        let mut guess = Guess {
            budget: String::new(),
            account,
            user_id: user.map(|user| user.to_string()).unwrap_or_default(),
            places: user.map(|user| origin.places(user)).unwrap_or_default(),
        };
        if self.config.disabled {
            return Ok(guess);
        }
        let request = pb::GuessRequest {
            account: guess.account.clone(),
            user_id: guess.user_id.clone(),
            places: guess.places.clone(),
            free: i32::try_from(rule.free).unwrap_or(i32::MAX),
            first_delay_ms: wide(rule.first_delay_ms),
            max_delay_ms: wide(rule.max_delay_ms),
            forget_ms: wide(rule.forget_ms),
        };
        let wait = match self.repo.guess(request).await {
            Ok(answer) => {
                self.answered();
                guess.budget = answer.budget;
                (!answer.allowed).then(|| u64::try_from(answer.retry_after_ms).unwrap_or(1))
            }
            Err(error) => {
                self.bridged(&error);
                limited(self.local.guess_now(&guess.account, rule.widened()))
            }
        };
        match wait {
            None => Ok(guess),
            Some(wait) => {
                metrics::counter!("gochat_password_guesses_refused_total").increment(1);
                let text = "Too many wrong passwords for this account; try again later.";
                Err(Error::new(ErrorCode::RateLimited, text).after(wait.max(1)))
            }
        }
    }

    /// The password was right: the guess is taken back, and its places are known from now on. A
    /// failure is logged and costs the owner one guess.
    pub(crate) async fn confirm(&self, guess: Guess) {
        if self.config.disabled {
            return;
        }
        if guess.budget.is_empty() {
            self.local.forgive_now(&guess.account);
            return;
        }
        let request = pb::ConfirmGuessRequest {
            budget: guess.budget,
            user_id: guess.user_id,
            places: guess.places,
        };
        if let Err(error) = self.repo.confirm_guess(request).await {
            self.bridged(&error);
        }
    }

    /// Whether guests are let in.
    ///
    /// # Errors
    /// `GUEST_NOT_ALLOWED`.
    pub(crate) fn may_be_guest(&self) -> Result<()> {
        if self.admission.guests {
            return Ok(());
        }
        let text = "Guests aren't let in here; register an account.";
        Err(Error::new(ErrorCode::GuestNotAllowed, text))
    }

    /// A guest from this network.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) async fn guest_of_network(&self, origin: Origin<'_>) -> Result<()> {
        let rule = self.config.guests_by_address;
        self.of_address("guests_by_address", rule, origin).await
    }

    /// A guest from anywhere.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) async fn guest(&self) -> Result<()> {
        self.charge("guests", "all", self.config.guests, 1).await
    }

    /// An account from this network.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) async fn registration(&self, origin: Origin<'_>) -> Result<()> {
        let rule = self.config.registrations_by_address;
        self.of_address("registrations_by_address", rule, origin)
            .await
    }

    /// Whether a guest may become an account: where everybody may make one.
    ///
    /// # Errors
    /// `REGISTRATION_CLOSED`.
    pub(crate) fn upgrade(&self) -> Result<()> {
        match self.admission.registration {
            Registration::Open => Ok(()),
            Registration::Invite | Registration::Closed => {
                Err(ErrorCode::RegistrationClosed.into())
            }
        }
    }

    /// Judges a registration before anything is spent on it.
    ///
    /// # Errors
    /// `REGISTRATION_CLOSED`, `INVITATION_INVALID`.
    pub(crate) fn may_register(&self, presented: &str) -> Result<()> {
        let Admission {
            registration,
            invitations,
            ..
        } = &self.admission;
        admit(*registration, invitations, presented).map(drop)
    }

    /// Judges a registration by its invitation code, and takes a use of the code where one is
    /// needed. The answer is to be [given back](Self::return_invitation) when no account is made.
    ///
    /// # Errors
    /// `REGISTRATION_CLOSED`, `INVITATION_INVALID`.
    pub(crate) async fn invitation(&self, presented: &str) -> Result<Option<String>> {
        let Admission {
            registration,
            invitations,
            ..
        } = &self.admission;
        let most = match admit(*registration, invitations, presented)? {
            Admitted::Freely => return Ok(None),
            Admitted::ByCode { most } => most,
        };
        let code = hash_of(presented);
        let request = pb::UseInvitationRequest {
            code: code.clone(),
            most: i32::try_from(most).unwrap_or(i32::MAX),
        };
        match self.repo.use_invitation(request).await?.used {
            true => Ok(Some(code)),
            false => Err(ErrorCode::InvitationInvalid.into()),
        }
    }

    /// Gives a use of a code back. A failure costs the code one account.
    pub(crate) async fn return_invitation(&self, code: Option<String>) {
        let Some(code) = code else { return };
        let request = pb::ReturnInvitationRequest { code };
        if let Err(error) = self.repo.return_invitation(request).await {
            tracing::warn!(%error, "a use of an invitation code can't be given back");
        }
    }

    /// Member rows of a group that are written, and members who are told of each change.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) async fn member_changes(
        &self,
        by: UserId,
        group: ConversationId,
        rows: usize,
        told: u32,
    ) -> Result<()> {
        let cost = (rows as u64).saturating_mul(u64::from(told.max(1)));
        let config = &self.config;
        let of_user = config.member_changes_by_user;
        self.charge("member_changes_by_user", &of(by), of_user, cost)
            .await?;
        let of_group = config.member_changes_in_group;
        let resource = format!("conversation:{group}");
        self.charge("member_changes_in_group", &resource, of_group, cost)
            .await
    }

    /// A change of what a conversation shows, and the members who are told.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) async fn edit(&self, by: UserId, told: u32) -> Result<()> {
        let rule = self.config.edits_by_user;
        self.charge("edits_by_user", &of(by), rule, u64::from(told))
            .await
    }

    /// A friend request. What reaches a user is limited as well as what one user makes, so that
    /// many strangers together can't fill the list of one.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) async fn friend_request(&self, by: UserId, to: UserId) -> Result<()> {
        let config = &self.config;
        self.charge("requests_by_user", &of(by), config.requests_by_user, 1)
            .await?;
        self.charge("requests_to_user", &of(to), config.requests_to_user, 1)
            .await
    }

    /// A user is added to a group by somebody who is no friend.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) async fn stranger_adds(&self, user: UserId, per_day: u32) -> Result<()> {
        let per_day = f64::from(per_day);
        let rule = Rule::new(per_day / 86_400.0, per_day);
        self.charge("stranger_adds", &of(user), rule, 1).await
    }

    /// An invitation link that is made, or a code that is presented, right or wrong.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) async fn invitation_code(&self, by: UserId) -> Result<()> {
        let rule = self.config.invitation_codes;
        self.charge("invitation_codes", &of(by), rule, 1).await
    }

    /// A request to join a group.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) async fn join_request(&self, by: UserId) -> Result<()> {
        let rule = self.config.join_requests;
        self.charge("join_requests", &of(by), rule, 1).await
    }

    /// A search by name.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(crate) async fn search(&self, by: UserId) -> Result<()> {
        self.charge("searches", &of(by), self.config.searches, 1)
            .await
    }

    /// Charges a network; callers that don't tell it share one budget.
    async fn of_address(&self, name: &str, rule: Rule, origin: Origin<'_>) -> Result<()> {
        self.charge(name, &format!("ip:{}", origin.address), rule, 1)
            .await
    }

    /// Takes `cost` tokens of a bucket, by this process alone and more sparingly while im-repo
    /// doesn't answer.
    async fn charge(&self, name: &str, resource: &str, rule: Rule, cost: u64) -> Result<()> {
        if self.config.disabled {
            return Ok(());
        }
        let request = pb::AllowRequest {
            resource: resource.to_owned(),
            rule: name.to_owned(),
            rate: rule.rate,
            burst: rule.capacity,
            cost: wide(cost),
        };
        let wait = match self.repo.allow(request).await {
            Ok(answer) => {
                self.answered();
                (!answer.allowed).then(|| u64::try_from(answer.retry_after_ms).unwrap_or(1))
            }
            Err(error) => {
                self.bridged(&error);
                let sparing = Rule::new(
                    rule.rate / LOCAL_SHARE,
                    (rule.capacity / LOCAL_SHARE).max(1.0),
                );
                limited(self.local.charge_now(resource, name, sparing, cost))
            }
        };
        let Some(wait) = wait else { return Ok(()) };
        metrics::counter!("gochat_budgets_refused_total", "budget" => name.to_owned()).increment(1);
        Err(Error::from(ErrorCode::RateLimited).after(wait.max(1)))
    }

    fn answered(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            tracing::info!("budgets are shared again");
        }
    }

    fn bridged(&self, error: &Error) {
        metrics::counter!("gochat_budgets_bridged_total").increment(1);
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "budgets are judged by this instance alone until im-repo answers");
        }
    }
}

/// The resource of a user.
fn of(user: UserId) -> String {
    format!("user:{user}")
}

/// Milliseconds to wait after a refusal.
fn limited(verdict: Verdict) -> Option<u64> {
    match verdict {
        Verdict::Allowed => None,
        Verdict::Limited { retry_after } => {
            Some(u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX))
        }
    }
}

fn wide(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_name_neither_address_nor_device_and_belong_to_one_user() {
        let origin = Origin {
            address: "192.0.2.7",
            device: "3f0c2a1e-77aa-4b11-9f00-2d5f1b6c7e01",
        };
        let (one, two) = (UserId::new(1).unwrap(), UserId::new(2).unwrap());
        let places = origin.places(one);
        assert_eq!(places.len(), 2);
        assert!(places.iter().all(|place| place.len() == 64));
        assert!(
            origin
                .places(two)
                .iter()
                .all(|place| !places.contains(place))
        );
        let phone = Origin {
            device: "phone",
            ..Origin::default()
        };
        assert!(
            phone.places(one).is_empty(),
            "a name that others use, too, is no proof"
        );
    }
}
