//! Conversation rows, read through the cache.
//!
//! The copy holds the whole row, the head included, so *every* write that touches the row
//! lets go of it after the commit: changes, members, and each saved batch of messages. Fill
//! tokens (see [`gochat_infra::port::cache`]) keep a reader that raced with the write from
//! bringing the old row back.
//!
//! The *list* of a user's conversations is deliberately not cached. It is one statement, and one
//! for mentions where something is unread. A cached skeleton would have to be dropped for every
//! member whenever a new message changes the order, unhides a chat or a row changes: more work than
//! it saves, and no single place that could prove it right.

use std::future::Future;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::ConversationId;
use gochat_infra::cached::{Cached, Keep};
use gochat_infra::port::db::{ConversationRow, DbResult, SharedDatabase};
use gochat_proto::common::v1::Conversation;
use hashbrown::HashMap;
use prost::Message;

use crate::convert;
use crate::rpc::failed;
use crate::shared::{forget, to_the_end};

/// Cache-aside reads of conversations.
pub(crate) struct Conversations {
    db: SharedDatabase,
    cached: Arc<Cached>,
    keep: Keep,
}

const ALIVE: u8 = 0;
const DISSOLVED: u8 = 1;

fn key(id: ConversationId) -> String {
    format!("conversation:basic:{id}")
}

/// One byte that tells whether it is dissolved, then the message.
fn encode(row: &ConversationRow) -> Bytes {
    let conversation = convert::conversation(row);
    let mut stored = BytesMut::with_capacity(1 + conversation.encoded_len());
    stored.put_u8(if row.dissolved { DISSOLVED } else { ALIVE });
    stored.put_slice(&conversation.encode_to_vec());
    stored.freeze()
}

/// `None` for a dissolved conversation.
fn decode(stored: &Bytes) -> Result<Option<Conversation>> {
    let unreadable = || Error::from(ErrorCode::Internal);
    let (state, message) = stored.split_first().ok_or_else(unreadable)?;
    if *state == DISSOLVED {
        return Ok(None);
    }
    Conversation::decode(message).map(Some).map_err(|error| {
        tracing::error!(%error, "a cached conversation can't be read");
        unreadable()
    })
}

impl Conversations {
    pub(crate) fn new(db: SharedDatabase, cached: Arc<Cached>, keep: Keep) -> Self {
        Self { db, cached, keep }
    }

    /// One conversation, and whether no database was asked.
    ///
    /// # Errors
    /// `CONVERSATION_NOT_FOUND`, `CONVERSATION_DISSOLVED`.
    pub(crate) async fn one(&self, id: ConversationId) -> Result<(Conversation, bool)> {
        let load = || async {
            let row = self.db.conversation(id).await.map_err(failed)?;
            Ok(row.as_ref().map(encode))
        };
        let answer = self.cached.get_or_load(&key(id), self.keep, load).await?;
        let stored = answer
            .value
            .ok_or(Error::from(ErrorCode::ConversationNotFound))?;
        let alive = decode(&stored)?.ok_or(Error::from(ErrorCode::ConversationDissolved))?;
        Ok((alive, answer.from_cache))
    }

    /// The conversations among `ids` that exist and are not dissolved; one statement for all
    /// that are not cached.
    pub(crate) async fn many(&self, ids: &[ConversationId]) -> Result<Vec<Conversation>> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let keys: Vec<String> = ids.iter().copied().map(key).collect();
        let load = |missing: Vec<usize>| {
            let wanted: Vec<_> = missing.iter().map(|position| ids[*position]).collect();
            async move {
                let rows = self.db.conversations(&wanted).await.map_err(failed)?;
                let by_id: HashMap<ConversationId, Bytes> =
                    rows.iter().map(|row| (row.id, encode(row))).collect();
                Ok(wanted.iter().map(|id| by_id.get(id).cloned()).collect())
            }
        };
        let answers = self.cached.get_or_load_many(&keys, self.keep, load).await?;
        let present = answers.iter().filter_map(|answer| answer.value.as_ref());
        present
            .filter_map(|stored| decode(stored).transpose())
            .collect()
    }

    /// Runs a change of conversations. Their copies go whatever comes of it: a failure may hide a
    /// commit.
    pub(crate) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        ids: Vec<ConversationId>,
        work: impl Future<Output = DbResult<T>> + Send + 'static,
    ) -> DbResult<T> {
        let conversations = self.clone();
        to_the_end(async move {
            let done = work.await;
            conversations.forget(&ids).await;
            done
        })
        .await
    }

    /// Lets go of the copies of changed conversations.
    pub(crate) async fn forget(&self, ids: &[ConversationId]) {
        let keys: Vec<String> = ids.iter().copied().map(key).collect();
        forget(&self.cached, &keys).await;
    }
}
