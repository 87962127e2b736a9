//! What the sequencer loads before it judges messages. Never cached here: the sequencer
//! caches facts itself and is told when they change, so its loads must see every commit.

use gochat_core::error::Result;
use gochat_core::ids::{MessageId, UserId};
use gochat_infra::port::db::{ConversationFacts as Facts, FactsOf, FactsRequest, Resend};
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use crate::rpc::failed;
use crate::{args, convert, pages};

/// Most members listed per conversation.
const MEMBERS_MAX: u32 = 10_000;
/// Most users of a conversation whose membership is looked for.
const SENDERS_MAX: usize = 10_000;
/// Most resends looked for in one call.
const RESENDS_MAX: usize = 10_000;
/// Most targets looked for in one call.
const TARGETS_MAX: usize = 10_000;
/// Most messages that are answered looked for in one call.
const QUOTES_MAX: usize = 10_000;
/// Most reactors looked for in one call.
const REACTORS_MAX: usize = 10_000;
/// Longest client id.
const CLIENT_ID_MAX: usize = 64;
/// Most recent messages and changes per conversation.
const RECENT_MAX: u32 = 10_000;
/// Maximum number of members, recent messages, resends, targets and quotes (which count as several, for
/// their reactions and excerpts) and reactors of one answer. One takes 170 bytes at most, so the answer stays below
/// the 4 MiB that services accept from each other; a single conversation always fits.
const ROWS_MAX: usize = 20_000;
/// Maximum size of an answer of more than one conversation, in bytes.
const ANSWER_BYTES: usize = 3 << 20;

impl ConversationApi {
    pub(super) async fn load_conversation_facts(
        &self,
        request: LoadConversationFactsRequest,
    ) -> Result<LoadConversationFactsResponse> {
        args::batch(request.queries.len(), "queries")?;
        let resends = request.queries.iter().map(|query| query.resends.len());
        if resends.sum::<usize>() > RESENDS_MAX {
            return Err(args::invalid(
                "At most 10,000 `resends` are answered at once.",
            ));
        }
        let targets = request.queries.iter().map(|query| query.target_ids.len());
        if targets.sum::<usize>() > TARGETS_MAX {
            return Err(args::invalid(
                "At most 10,000 `target_ids` are answered at once.",
            ));
        }
        let quotes = request.queries.iter().map(|query| query.quote_ids.len());
        if quotes.sum::<usize>() > QUOTES_MAX {
            return Err(args::invalid(
                "At most 10,000 `quote_ids` are answered at once.",
            ));
        }
        let reactors = request.queries.iter().map(|query| query.reactors.len());
        if reactors.sum::<usize>() > REACTORS_MAX {
            return Err(args::invalid(
                "At most 10,000 `reactors` are answered at once.",
            ));
        }
        let load = FactsRequest {
            conversations: Vec::new(),
            max_members: args::limit(request.max_members, 0, MEMBERS_MAX),
            recent_max: args::limit(request.recent_limit, 0, RECENT_MAX),
            recent_since: args::millis(request.recent_since),
            max_rows: ROWS_MAX,
        };
        // The window is asked for all or none of a load: one load for each.
        let mut with_window = FactsRequest {
            conversations: Vec::new(),
            ..load.clone()
        };
        let mut without = FactsRequest {
            recent_max: 0,
            ..load
        };
        let mut windows = Vec::with_capacity(request.queries.len());
        for query in &request.queries {
            let of = FactsOf {
                id: args::conversation(&query.conversation_id)?,
                without_members: query.without_members,
                senders: asked_users(&query.sender_ids)?,
                resends: query.resends.iter().map(resend).collect::<Result<_>>()?,
                targets: known(&query.target_ids),
                quotes: known(&query.quote_ids),
                reactors: asked_reactors(&query.reactors)?,
            };
            windows.push(query.with_recent);
            let list = if query.with_recent {
                &mut with_window
            } else {
                &mut without
            };
            list.conversations.push(of);
        }
        let mut with_window = self.facts(with_window).await?.into_iter();
        let mut without = self.facts(without).await?.into_iter();
        // Answers come in the order asked, so the two lists interleave as the queries did, up to
        // where the first of them ends.
        let facts = windows.iter().map_while(|with| {
            if *with {
                with_window.next()
            } else {
                without.next()
            }
        });
        let mut facts: Vec<_> = facts.map(wire).collect();
        pages::bound_to(&mut facts, ANSWER_BYTES);
        Ok(LoadConversationFactsResponse { facts })
    }

    async fn facts(&self, request: FactsRequest) -> Result<Vec<Facts>> {
        if request.conversations.is_empty() {
            return Ok(Vec::new());
        }
        self.shared.db.facts(request).await.map_err(failed)
    }
}

/// What is no id of a message is not stored.
fn known(ids: &[i64]) -> Vec<MessageId> {
    ids.iter()
        .filter_map(|id| MessageId::from_i64(*id))
        .collect()
}

fn resend(query: &ResendQuery) -> Result<Resend> {
    let sender = args::user(&query.sender_id, "sender_id")?;
    let client_id = args::text(&query.client_msg_id, "client_msg_id", CLIENT_ID_MAX)?;
    Ok(Resend {
        sender,
        client_msg_id: client_id.to_owned(),
        is_change: query.is_change,
    })
}

/// Whoever has no place in a group is asked about as well: any user can be named.
fn asked_users(texts: &[String]) -> Result<Vec<UserId>> {
    if texts.len() > SENDERS_MAX {
        return Err(args::invalid("`sender_ids` has at most 10,000 entries."));
    }
    let users = texts.iter().map(|text| args::user(text, "sender_ids"));
    users.collect()
}

fn asked_reactors(asked: &[ReactorQuery]) -> Result<Vec<(MessageId, UserId)>> {
    // What is no id of a message has no reactions.
    let known = asked
        .iter()
        .filter_map(|query| Some((MessageId::from_i64(query.message_id)?, &query.user_id)));
    known
        .map(|(message, user)| Ok((message, args::user(user, "user_id")?)))
        .collect()
}

fn wire(facts: Facts) -> ConversationFacts {
    let mut answer = ConversationFacts {
        conversation_id: facts.id.to_string(),
        r#type: facts.id.kind() as i32,
        members: facts.members.iter().map(convert::member_fact).collect(),
        members_complete: facts.members_complete,
        recent: facts.recent.iter().rev().map(convert::recent).collect(),
        resends: facts.resends.iter().map(convert::recent).collect(),
        resends_answered: true,
        targets: facts.targets.iter().map(convert::target).collect(),
        targets_answered: true,
        reactors: convert::reactors(&facts.reactors),
        reactions_answered: true,
        quotes_answered: true,
        blocked: facts.blocked,
        ..Default::default()
    };
    let Some(row) = facts.conversation else {
        return ConversationFacts {
            conversation_id: answer.conversation_id,
            ..Default::default()
        };
    };
    answer.found = true;
    answer.owner_id = row.owner_id.map(|id| id.to_string()).unwrap_or_default();
    answer.settings = row.settings;
    answer.dissolved = row.dissolved;
    answer.member_count = convert::narrow(row.member_count);
    answer.last_seq_id = convert::wide(row.last_seq_id);
    answer.last_rev = convert::wide(row.last_rev);
    answer.pinned_count = convert::narrow(row.pinned_count);
    answer.updated_at = convert::seconds(row.updated_at);
    // The row is stamped with every message: without the message itself this is the nearest
    // time that is not too early.
    let newest = facts.recent.iter().rfind(|recent| !recent.is_change);
    answer.last_message_at = match newest {
        Some(newest) if newest.seq_id == row.last_seq_id => convert::seconds(newest.created_at),
        _ if row.last_seq_id == 0 => 0,
        _ => answer.updated_at,
    };
    answer
}
