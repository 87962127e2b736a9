//! SequenceService and IdempotencyService: for callers that don't use the sequencer.

use gochat_core::error::Result;
use gochat_proto::im::repo::v1::{
    idempotency_service_server::IdempotencyService, sequence_service_server::SequenceService, *,
};

use crate::rpc::serve;
use crate::services::api;
use crate::{args, claims, convert};

/// Longest key of a claim, in characters.
const KEY_MAX: usize = 256;
/// Longest block of numbers.
const BLOCK_MAX: u32 = 1_000;

api!(
    /// Sequence numbers.
    SequenceApi
);

api!(
    /// Claims.
    IdempotencyApi
);

serve!(impl SequenceService => SequenceApi {
    get_next_seq(GetNextSeqRequest) -> GetNextSeqResponse;
    get_current_seq(GetCurrentSeqRequest) -> GetCurrentSeqResponse;
});

serve!(impl IdempotencyService => IdempotencyApi {
    check_or_set(CheckOrSetRequest) -> CheckOrSetResponse;
    mark_done(MarkDoneRequest) -> MarkDoneResponse;
});

impl SequenceApi {
    async fn get_next_seq(&self, request: GetNextSeqRequest) -> Result<GetNextSeqResponse> {
        let place = args::conversation(&request.conversation_id)?;
        let count = args::limit(request.count, 1, BLOCK_MAX);
        if i64::from(count) < i64::from(request.count) {
            return Err(args::invalid("`count` is at most 1000."));
        }
        let first = claims::next_seq(&self.shared, place, count).await?;
        Ok(GetNextSeqResponse {
            seq_id: convert::wide(first),
        })
    }

    async fn get_current_seq(
        &self,
        request: GetCurrentSeqRequest,
    ) -> Result<GetCurrentSeqResponse> {
        let place = args::conversation(&request.conversation_id)?;
        let current = claims::current_seq(&self.shared, place).await?;
        Ok(GetCurrentSeqResponse {
            seq_id: convert::wide(current),
        })
    }
}

/// Claims live in a room of their own, apart from those of CheckMessageIdempotency.
fn key(wanted: &str) -> Result<String> {
    Ok(format!(
        "idempotent:{}",
        args::text(wanted, "key", KEY_MAX)?
    ))
}

impl IdempotencyApi {
    async fn check_or_set(&self, request: CheckOrSetRequest) -> Result<CheckOrSetResponse> {
        let key = key(&request.key)?;
        let note = claims::Note {
            message_id: request.message_id,
            conversation_id: request.conversation_id,
            seq_id: 0,
        };
        let ttl = claims::ttl(request.ttl_seconds);
        let claimed = claims::claim(&*self.shared.once, &key, note, ttl).await?;
        Ok(CheckOrSetResponse {
            first: claimed.first,
            message_id: claimed.note.message_id,
            seq_id: claimed.note.seq_id,
            state: claimed.state as i32,
        })
    }

    async fn mark_done(&self, request: MarkDoneRequest) -> Result<MarkDoneResponse> {
        let key = key(&request.key)?;
        let ttl = claims::ttl(request.ttl_seconds);
        Ok(MarkDoneResponse {
            success: claims::done(&*self.shared.once, &key, ttl).await?,
        })
    }
}
