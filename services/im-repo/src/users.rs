//! Users, read through the cache.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{UnixMillis, UserId};
use gochat_infra::cached::{Cached, Keep};
use gochat_infra::port::db::{DbResult, SharedDatabase, UserRow};
use gochat_proto::common::v1::User;
use hashbrown::HashMap;
use prost::Message;

use crate::convert;
use crate::rpc::failed;
use crate::shared::{forget, to_the_end};

/// A user, and whether no database was asked.
pub(crate) struct Found {
    pub(crate) user: User,
    pub(crate) from_cache: bool,
}

/// Cache-aside reads of users. Whoever writes a user does so by [`Users::change`].
pub(crate) struct Users {
    db: SharedDatabase,
    cached: Arc<Cached>,
    keep: Keep,
}

fn key(id: UserId) -> String {
    format!("user:info:{id}")
}

fn encode(row: &UserRow) -> Bytes {
    convert::user(row).encode_to_vec().into()
}

fn decode(stored: Bytes) -> Result<User> {
    User::decode(stored).map_err(|error| {
        tracing::error!(%error, "a cached user can't be read");
        Error::from(ErrorCode::Internal)
    })
}

impl Users {
    pub(crate) fn new(db: SharedDatabase, cached: Arc<Cached>, keep: Keep) -> Self {
        Self { db, cached, keep }
    }

    /// One user, whatever its status.
    pub(crate) async fn one(&self, id: UserId) -> Result<Option<Found>> {
        let load = || async {
            let row = self.db.user(id).await.map_err(failed)?;
            Ok(row.as_ref().map(encode))
        };
        let answer = self.cached.get_or_load(&key(id), self.keep, load).await?;
        let from_cache = answer.from_cache;
        answer
            .value
            .map(|stored| {
                Ok(Found {
                    user: decode(stored)?,
                    from_cache,
                })
            })
            .transpose()
    }

    /// The users among `ids` that exist; one statement for all that are not cached.
    pub(crate) async fn many(&self, ids: &[UserId]) -> Result<Vec<Found>> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let keys: Vec<String> = ids.iter().copied().map(key).collect();
        let load = |missing: Vec<usize>| {
            let wanted: Vec<UserId> = missing.iter().map(|position| ids[*position]).collect();
            async move {
                let rows = self.db.users(&wanted).await.map_err(failed)?;
                let by_id: HashMap<UserId, Bytes> =
                    rows.iter().map(|row| (row.id, encode(row))).collect();
                Ok(wanted.iter().map(|id| by_id.get(id).cloned()).collect())
            }
        };
        let answers = self.cached.get_or_load_many(&keys, self.keep, load).await?;
        let present = answers.into_iter().filter_map(|answer| {
            let from_cache = answer.from_cache;
            let user = decode(answer.value?);
            Some(user.map(|user| Found { user, from_cache }))
        });
        present.collect()
    }

    /// Runs a change of users. Their copies go whatever comes of it: a failure may hide a commit.
    pub(crate) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        id: UserId,
        work: impl Future<Output = DbResult<T>> + Send + 'static,
    ) -> Result<T> {
        let users = self.clone();
        let done = to_the_end(async move {
            let done = work.await;
            users.forget(&[id]).await;
            done
        });
        done.await.map_err(failed)
    }

    /// Removes guests that were away for long, and lets go of their copies.
    pub(crate) async fn expire(
        self: &Arc<Self>,
        (before, now): (UnixMillis, UnixMillis),
        limit: u32,
    ) -> Result<Vec<UserId>> {
        let users = self.clone();
        let done = to_the_end(async move {
            let gone = users.db.delete_expired_guests(before, now, limit).await;
            if let Ok(gone) = &gone {
                users.forget(gone).await;
            }
            gone
        });
        done.await.map_err(failed)
    }

    /// Lets go of the copies of changed users.
    async fn forget(&self, ids: &[UserId]) {
        let keys: Vec<String> = ids.iter().copied().map(key).collect();
        forget(&self.cached, &keys).await;
    }
}
