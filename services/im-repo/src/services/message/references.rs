//! What messages refer to: checked before it is stored, and completed when it is read.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, UserId};
use gochat_core::message::{Forwarded, MENTIONS_MAX, References, Reply};
use gochat_infra::port::db::MessageEntry;
use gochat_proto::common::v1 as common;
use gochat_proto::im::repo::v1::*;
use hashbrown::HashMap;

use super::MessageApi;
use crate::rpc::failed;
use crate::{args, convert};

/// Maximum number of characters of the name of a message's first author.
const NAME_MAX: usize = 100;

/// What a message refers to, as it is to be stored. The sequencer has judged it; this only keeps
/// rows sane.
pub(super) fn references(request: &SaveMessageRequest) -> Result<Option<Box<References>>> {
    let references = References {
        reply: request.reply_to.as_ref().map(reply).transpose()?,
        mentions: mentions(&request.mention_ids)?,
        mention_all: request.mention_all,
        forwarded: request.forwarded_from.as_ref().map(forwarded).transpose()?,
    };
    Ok((!references.is_empty()).then(|| Box::new(references)))
}

fn reply(quote: &common::Quote) -> Result<Reply> {
    let seq = args::seq(quote.seq_id, "reply_to.seq_id")?;
    if seq == 0 {
        return Err(args::invalid("`reply_to.seq_id` is missing."));
    }
    Ok(Reply {
        id: args::message(&quote.message_id)?,
        seq,
        by: args::user(&quote.sender_id, "reply_to.sender_id")?,
    })
}

fn mentions(ids: &[String]) -> Result<Vec<UserId>> {
    if ids.len() > MENTIONS_MAX {
        return Err(args::invalid(format!(
            "`mention_ids` has at most {MENTIONS_MAX} entries."
        )));
    }
    let mut mentions = args::users(ids, "mention_ids")?;
    mentions.sort_unstable();
    mentions.dedup();
    Ok(mentions)
}

fn forwarded(from: &common::Forwarded) -> Result<Forwarded> {
    let name = args::optional_text(&from.sender_name, "forwarded_from.sender_name", NAME_MAX)?;
    let conversation = match from.conversation_id.as_str() {
        "" => None,
        id => Some(args::conversation(id)?),
    };
    Ok(Forwarded {
        by: args::user(&from.sender_id, "forwarded_from.sender_id")?,
        name: name.to_owned(),
        id: args::message(&from.message_id)?,
        from: conversation,
    })
}

fn reply_of(entry: &MessageEntry) -> Option<Reply> {
    entry.message.references.as_ref()?.reply
}

impl MessageApi {
    /// Messages of one conversation as im-repo shows them, with those they answer as these are now.
    /// A page without answers costs no statement. `fresh` = a replica doesn't do.
    pub(super) async fn shown(
        &self,
        place: ConversationId,
        entries: Vec<MessageEntry>,
        fresh: bool,
    ) -> Result<Vec<RepoMessage>> {
        let replies: Vec<Reply> = entries.iter().filter_map(reply_of).collect();
        let messages = entries.into_iter().map(convert::repo_message_entry);
        let mut messages: Vec<RepoMessage> = messages.collect();
        if replies.is_empty() {
            return Ok(messages);
        }
        let quoted = self.shared.db.quoted(place, &replies, fresh).await;
        let quoted: HashMap<String, common::Quote> = quoted
            .map_err(failed)?
            .iter()
            .map(|row| (row.id.to_string(), convert::quoted(row)))
            .collect();
        for reply in messages.iter_mut().filter_map(|m| m.reply_to.as_mut()) {
            if let Some(quote) = quoted.get(&reply.message_id) {
                reply.clone_from(quote);
            }
        }
        Ok(messages)
    }

    /// One message as im-repo shows it, with the one it answers as that is now.
    pub(super) async fn shown_one(&self, entry: MessageEntry) -> Result<RepoMessage> {
        let place = entry.message.conversation_id;
        let shown = self.shown(place, vec![entry], false).await?.pop();
        shown.ok_or(Error::from(ErrorCode::Internal))
    }
}
