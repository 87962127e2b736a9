//! Accounts by id.

use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::UserId;
use gochat_proto::common::v1::{User, UserStatus};
use gochat_proto::im::repo::v1::{GetUserRequest, GetUsersOnlineStatusRequest, GetUsersRequest};
use hashbrown::{HashMap, HashSet};

use super::{Repo, present};

/// Users one RPC may name.
const BATCH: usize = 1_000;

/// Accounts, by id.
pub(crate) type People = HashMap<UserId, User>;

/// Whether an account may act and be addressed.
pub(crate) fn is_active(user: &User) -> bool {
    !matches!(user.status(), UserStatus::Disabled | UserStatus::Deleted)
}

impl Repo {
    /// One account.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub(crate) async fn user(&self, id: UserId) -> Result<User> {
        match self
            .get_user(GetUserRequest {
                user_id: id.to_string(),
            })
            .await
        {
            Err(error) if error.code == ErrorCode::NotFound => Err(ErrorCode::UserNotFound.into()),
            other => present(other?.user),
        }
    }

    /// The account of somebody who acts.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`, `USER_DISABLED`.
    pub(crate) async fn actor(&self, id: UserId) -> Result<User> {
        let user = self.user(id).await?;
        if is_active(&user) {
            Ok(user)
        } else {
            Err(ErrorCode::UserDisabled.into())
        }
    }

    /// The account of somebody who acts and is no guest.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`, `USER_DISABLED`, `GUEST_NOT_ALLOWED`.
    pub(crate) async fn registered(&self, id: UserId) -> Result<User> {
        let user = self.actor(id).await?;
        if user.is_guest {
            Err(ErrorCode::GuestNotAllowed.into())
        } else {
            Ok(user)
        }
    }

    /// The accounts that exist among `ids`.
    pub(crate) async fn people(&self, ids: &[UserId]) -> Result<People> {
        let mut people = People::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            let user_ids = batch.iter().map(ToString::to_string).collect();
            let users = self.get_users(GetUsersRequest { user_ids }).await?.users;
            people.extend(
                users
                    .into_iter()
                    .filter_map(|u| Some((u.id.parse().ok()?, u))),
            );
        }
        Ok(people)
    }

    /// Who of `ids` is connected.
    pub(crate) async fn online_among(&self, ids: &[UserId]) -> Result<HashSet<UserId>> {
        let mut online = HashSet::new();
        for batch in ids.chunks(BATCH) {
            let user_ids = batch.iter().map(ToString::to_string).collect();
            let answer = self
                .online(GetUsersOnlineStatusRequest { user_ids })
                .await?;
            let there = answer.statuses.iter().filter(|s| s.is_online);
            online.extend(there.filter_map(|s| s.user_id.parse::<UserId>().ok()));
        }
        Ok(online)
    }
}
