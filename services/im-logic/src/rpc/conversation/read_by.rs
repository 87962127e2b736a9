//! Readers of a message.

use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::{ConversationId, SeqId, UserId};
use gochat_core::receipt;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use super::visible;
use crate::app::App;
use crate::repo::Facts;

/// `GetReadBy`: members only, about messages that the member may read.
pub(super) async fn get(app: &App, request: pb::GetReadByRequest) -> Result<pb::GetReadByResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    let seq = parse::seq(request.seq_id)?;
    let facts = app.repo.facts(id, &[user]).await?;
    facts.readable_by(user)?;
    receipt::may_list_readers(facts.kind, facts.group.member_count)?;
    let message = message(app, &facts, id, seq, user).await?;
    let request = repo::ListReadersRequest {
        conversation_id: id.to_string(),
        seq_id: message.seq_id,
        author_id: message.sender_id,
        members_max: i32::try_from(receipt::READ_BY_MEMBERS_MAX).unwrap_or(i32::MAX),
    };
    let caller = user.to_string();
    let readers = app.repo.list_readers(request).await?.readers.into_iter();
    let is_shown = |reader: &repo::ReadPointer| !facts.hides_receipts || reader.user_id == caller;
    let readers = readers.filter(is_shown).map(|reader| pb::Reader {
        user_id: reader.user_id,
        read_at: reader.updated_at,
    });
    Ok(pb::GetReadByResponse {
        readers: readers.collect(),
    })
}

/// The message at a number, waited for while its row is on its way.
async fn message(
    app: &App,
    facts: &Facts,
    id: ConversationId,
    seq: SeqId,
    user: UserId,
) -> Result<repo::RepoMessage> {
    let number = i64::try_from(seq).unwrap_or(i64::MAX);
    if number == 0 {
        return Err(ErrorCode::MessageNotFound.into());
    }
    let one = repo::GetConversationMessagesRequest {
        conversation_id: id.to_string(),
        start_seq_id: number,
        end_seq_id: number,
        limit: 1,
        ascending: true,
        at_least_seq_id: number,
        ..Default::default()
    };
    let page = match visible::since(app, facts, id, user).await? {
        None => app.repo.get_messages(one).await?,
        Some(since) => visible::page(app, one, since).await?,
    };
    let found = page.messages.into_iter().next();
    found.ok_or_else(|| ErrorCode::MessageNotFound.into())
}
