//! Claims and counters for callers outside the sequencer. The message path uses neither:
//! the owner of a partition numbers messages and recognises repeats by itself.

use std::time::Duration;

use bytes::Bytes;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, SeqId};
use gochat_infra::port::counter::{Claim, Once};
use gochat_proto::im::repo::v1::IdempotencyState as State;
use serde::{Deserialize, Serialize};

use crate::rpc::failed;
use crate::shared::Shared;

/// Life of a claim whose caller names none.
const DEFAULT_TTL: u64 = 60;
/// Longest life of a claim: 30 days, in seconds.
const MAX_TTL: u64 = 30 * 24 * 60 * 60;

/// What a claim tells others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) message_id: String,
    pub(crate) conversation_id: String,
    pub(crate) seq_id: i64,
}

/// What stands under a key after a claim.
pub(crate) struct Claimed {
    /// This call made the claim.
    pub(crate) first: bool,
    pub(crate) note: Note,
    pub(crate) state: State,
}

/// A lifetime from the wire.
pub(crate) fn ttl(seconds: i64) -> Duration {
    match u64::try_from(seconds) {
        Ok(0) | Err(_) => Duration::from_secs(DEFAULT_TTL),
        Ok(seconds) => Duration::from_secs(seconds.min(MAX_TTL)),
    }
}

fn read(note: &Bytes) -> Result<Note> {
    serde_json::from_slice(note).map_err(|error| {
        tracing::error!(%error, "a claim can't be read");
        Error::from(ErrorCode::Internal)
    })
}

/// Claims a key, or tells who did.
pub(crate) async fn claim(
    once: &dyn Once,
    key: &str,
    note: Note,
    ttl: Duration,
) -> Result<Claimed> {
    let written = serde_json::to_vec(&note).map_err(|_| Error::from(ErrorCode::Internal))?;
    Ok(match once.claim(key, written.into(), ttl).await? {
        Claim::First => Claimed {
            first: true,
            note,
            state: State::Pending,
        },
        Claim::Pending(standing) => Claimed {
            first: false,
            note: read(&standing)?,
            state: State::Pending,
        },
        Claim::Done(standing) => Claimed {
            first: false,
            note: read(&standing)?,
            state: State::Done,
        },
    })
}

/// Marks the work behind a claim as done; `false` when no claim stands.
pub(crate) async fn done(once: &dyn Once, key: &str, ttl: Duration) -> Result<bool> {
    match once.look(key).await? {
        None => Ok(false),
        Some(Claim::First) => Ok(false),
        Some(Claim::Pending(note) | Claim::Done(note)) => once.complete(key, note, ttl).await,
    }
}

fn counter(id: ConversationId) -> String {
    format!("conv_seq:{id}")
}

/// Takes `count` numbers above everything that was stored and everything that was given.
/// Numbers that were given and never stored may be given again after the counters were lost;
/// storing a second message under a number is refused by the database.
pub(crate) async fn next_seq(shared: &Shared, id: ConversationId, count: u32) -> Result<SeqId> {
    let head = head(shared, id).await?;
    shared.counters.take(&counter(id), head, count).await
}

/// The number given or stored last.
pub(crate) async fn current_seq(shared: &Shared, id: ConversationId) -> Result<SeqId> {
    let head = head(shared, id).await?;
    shared.counters.current(&counter(id), head).await
}

async fn head(shared: &Shared, id: ConversationId) -> Result<SeqId> {
    let row = shared.db.conversation(id).await.map_err(failed)?;
    let row = row.ok_or(Error::from(ErrorCode::ConversationNotFound))?;
    Ok(row.last_seq_id)
}
