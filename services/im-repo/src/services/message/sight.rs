//! Messages as one reader sees them, who may have deleted some of them for themselves.

use gochat_core::error::Result;
use gochat_core::ids::{ConversationId, SeqId, UserId};
use gochat_core::own_state::{OwnState, Sight};
use gochat_proto::im::repo::v1::RepoMessage;

use super::MessageApi;
use crate::rpc::failed;
use crate::{args, convert};

/// Who reads a conversation, with what that user keeps about it.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// `None` reads everything.
    user: Option<UserId>,
    place: Option<ConversationId>,
    state: OwnState,
}

impl Reader {
    /// First number that the reader sees.
    pub(super) fn first_seq(&self) -> SeqId {
        self.state.first_seq()
    }

    fn has_hidden(&self) -> bool {
        self.state.hidden_count > 0
    }
}

/// Numbers of messages, and of those that they answer; ascending, each once.
fn numbers(messages: &[RepoMessage]) -> Vec<SeqId> {
    let quotes = messages.iter().filter_map(|m| m.reply_to.as_ref());
    let quoted = quotes.map(|quote| quote.seq_id);
    let all = messages.iter().map(|m| m.seq_id).chain(quoted);
    let mut seqs: Vec<SeqId> = all.map(seq_of).collect();
    seqs.sort_unstable();
    seqs.dedup();
    seqs
}

fn seq_of(wide: i64) -> SeqId {
    SeqId::try_from(wide).unwrap_or(0)
}

impl MessageApi {
    /// The reader that a request names. A reader who deleted nothing costs one look-up by key.
    pub(super) async fn reader(&self, place: ConversationId, reader_id: &str) -> Result<Reader> {
        let Some(user) = args::user_or_none(reader_id, "reader_id")? else {
            return Ok(Reader::default());
        };
        let state = self.shared.db.own_state(user, place).await;
        Ok(Reader {
            user: Some(user),
            place: Some(place),
            state: state.map_err(failed)?,
        })
    }

    /// The messages as the reader sees them: without those that were cleared away, and with no more
    /// than the places of those that were deleted one by one.
    pub(super) async fn seen_by(
        &self,
        reader: &Reader,
        mut messages: Vec<RepoMessage>,
    ) -> Result<Vec<RepoMessage>> {
        let (Some(user), Some(place)) = (reader.user, reader.place) else {
            return Ok(messages);
        };
        let (mut state, mut hidden) = (reader.state.clone(), Vec::new());
        if reader.has_hidden() && !messages.is_empty() {
            let (db, seqs) = (&self.shared.db, numbers(&messages));
            hidden = db.hidden_among(user, place, &seqs).await.map_err(failed)?;
            // In this order: clearing a conversation deletes the rows that were looked for.
            state = db.own_state(user, place).await.map_err(failed)?;
        }
        let sight = |seq| state.sight(seq_of(seq), &hidden);
        messages.retain(|m| sight(m.seq_id) != Sight::Cleared);
        for message in &mut messages {
            if sight(message.seq_id) == Sight::Hidden {
                convert::empty(message);
            }
            if let Some(quote) = &mut message.reply_to {
                match sight(quote.seq_id) {
                    Sight::Whole => {}
                    Sight::Hidden => quote.excerpt.clear(),
                    // Later changes of a message that was cleared away aren't told to the reader.
                    Sight::Cleared => {
                        quote.excerpt.clear();
                        (quote.edited, quote.recalled) = (false, false);
                    }
                }
            }
        }
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use gochat_proto::common::v1::Quote;

    use super::*;

    #[test]
    fn numbers_of_messages_and_quotes_are_looked_up_once() {
        let message = |seq_id, quoted: Option<i64>| RepoMessage {
            seq_id,
            reply_to: quoted.map(|seq_id| Quote {
                seq_id,
                ..Default::default()
            }),
            ..Default::default()
        };
        let page = [message(9, Some(4)), message(8, None), message(4, Some(9))];
        assert_eq!(numbers(&page), [4, 8, 9]);
    }
}
