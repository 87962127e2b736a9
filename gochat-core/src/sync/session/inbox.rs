//! What comes from the server: frames and listings.

use super::lifecycle::{Listing, Phase};
use super::replica::Replica;
use super::{Action, ClientSession, Event, Listed};
use crate::error::Error;
use crate::ids::{MessageId, ParseIdError, UserId};
use crate::session::frame::{ErrorFrame, MessageAck, ServerFrame};
use crate::sync::{Message, Millis, Outgoing, Settled};

/// How far a listing reaches back before the last moment everything was known, in seconds:
/// rows may be written late and clocks differ.
const SYNC_OVERLAP_S: i64 = 600;

impl ClientSession {
    /// A text message arrived. One that isn't a frame of the protocol is ignored.
    pub fn handle_text(&mut self, text: &str, now: Millis) {
        self.handle_alive(now);
        let Ok((frame, server_time)) = ServerFrame::parse(text) else {
            return;
        };
        self.server_time = self.server_time.max(server_time.min(i64::from(u32::MAX)));
        // An id that isn't one makes the frame meaningless, not the connection.
        let _ = self.handle_frame(frame, now);
        self.settle_sync();
    }

    /// A sign of life that isn't a text message (ping, pong) arrived.
    pub fn handle_alive(&mut self, now: Millis) {
        if let Phase::Online(online) = &mut self.phase {
            online.heard = now;
        }
    }

    /// A page of conversations arrived.
    pub fn handle_listed(&mut self, ticket: u64, listed: Listed, now: Millis) {
        let Phase::Online(online) = &mut self.phase else {
            return;
        };
        let Listing::Asked { backoff, .. } = &online.listing else {
            return;
        };
        if ticket != self.ticket {
            return;
        }
        online.listing = match &listed.next_cursor {
            Some(_) => Listing::Asked {
                cursor: listed.next_cursor.clone(),
                backoff: backoff.clone(),
            },
            None => Listing::Done,
        };
        if listed.next_cursor.is_some() {
            self.ask_list(listed.next_cursor);
        }
        for conversation in listed.conversations {
            let last = conversation.last_seq;
            let base = last.saturating_sub(self.options.initial_history);
            let heard = self.heard.remove(&conversation.id).unwrap_or(0);
            self.update(conversation.id, base, |replica| {
                replica.handle_listed(&conversation);
                replica.handle_known(heard);
            });
        }
        for id in listed.removed {
            self.forget(id);
        }
        if self.is_listed() {
            self.heard.clear();
        }
        self.handle_timeout(now);
        self.settle_sync();
    }

    /// A page of conversations could not be had; it is asked for again later.
    pub fn handle_list_failed(&mut self, ticket: u64, now: Millis) {
        let Phase::Online(online) = &mut self.phase else {
            return;
        };
        if let Listing::Asked { cursor, backoff } = &mut online.listing
            && ticket == self.ticket
        {
            let at = now.saturating_add(backoff.next_delay());
            online.listing = Listing::RetryAt {
                cursor: cursor.take(),
                at,
                backoff: backoff.clone(),
            };
        }
    }

    pub(super) fn ask_list(&mut self, cursor: Option<String>) {
        let last_sync = self.synced_at.map(|at| (at - SYNC_OVERLAP_S).max(0));
        let ticket = self.ticket;
        self.actions.push_back(Action::ListConversations {
            ticket,
            cursor,
            last_sync,
        });
    }

    pub(super) fn refuse(&mut self, settled: Settled) {
        if let Err(error) = settled.result {
            self.events.push_back(Event::Refused {
                message: settled.message,
                error,
            });
        }
    }

    fn handle_frame(&mut self, frame: ServerFrame<'_>, now: Millis) -> Result<(), ParseIdError> {
        let event = match frame {
            ServerFrame::NewMessage(frame) => return self.handle_message(&frame),
            ServerFrame::MessageAck(ack) => return self.handle_ack(&ack, now),
            ServerFrame::ErrorFrame(error) => {
                self.handle_error(&error, now);
                return Ok(());
            }
            ServerFrame::Restarting(restarting) => {
                if let Phase::Online(online) = &mut self.phase {
                    online.restart_in = Some(restarting.reconnect_in.min(60_000));
                }
                return Ok(());
            }
            ServerFrame::OnlineStatus(s) => Event::Presence {
                user_id: s.user_id.parse()?,
                online: s.status == "online",
            },
            ServerFrame::TypingIndicator(t) => Event::Typing {
                conversation_id: t.conversation_id.parse()?,
                user_id: t.user_id.parse()?,
                is_typing: t.is_typing,
            },
            ServerFrame::MessageRead(r) => Event::Read {
                conversation_id: r.conversation_id.parse()?,
                user_id: r.user_id.parse()?,
                seq_id: r.seq_id,
            },
            ServerFrame::MessageChanged(changed) => return self.handle_changed(changed),
            ServerFrame::MessageRecalled(recalled) => return self.handle_recalled(&recalled),
            ServerFrame::ChangeAck(ack) => {
                self.handle_known(ack.conversation_id.parse()?, ack.rev);
                return Ok(());
            }
            ServerFrame::ConversationUpdated(u) => {
                Event::ConversationChanged(u.conversation_id.parse()?)
            }
            ServerFrame::MemberAdded(m) => Event::ConversationChanged(m.conversation_id.parse()?),
            ServerFrame::MemberRemoved(m) => {
                let conversation_id = m.conversation_id.parse()?;
                if Some(m.user_id.parse()?) == self.user {
                    self.forget(conversation_id);
                    return Ok(());
                }
                Event::ConversationChanged(conversation_id)
            }
            ServerFrame::FriendRequest(f) => Event::FriendsChanged {
                user_id: f.requester_id.parse()?,
            },
            ServerFrame::FriendAdded(f) => Event::FriendsChanged {
                user_id: f.friend_id.parse()?,
            },
            ServerFrame::FriendRemoved(f) => Event::FriendsChanged {
                user_id: f.friend_id.parse()?,
            },
            ServerFrame::JoinRequest(r) => Event::JoinRequested {
                conversation_id: r.conversation_id.parse()?,
                user_id: r.user_id.parse()?,
            },
            ServerFrame::JoinRequestAnswered(a) => Event::JoinAnswered {
                conversation_id: a.conversation_id.parse()?,
                accepted: a.accepted,
            },
            ServerFrame::GroupInvitation(i) => Event::Invited(i.conversation_id.parse()?),
            ServerFrame::ConversationState(c) => {
                let conversation_id = c.conversation_id.parse()?;
                let hidden = match c.hidden {
                    Some(gone) => Some((gone.message_id.parse()?, gone.seq_id)),
                    None => None,
                };
                self.handle_cleared(conversation_id, c.my.cleared_up_to);
                Event::OwnStateChanged {
                    conversation_id,
                    state: c.my,
                    hidden,
                    announcement_read: c.announcement_read,
                }
            }
            ServerFrame::Authenticated(_) | ServerFrame::Pong(_) | ServerFrame::Unknown(_) => {
                return Ok(());
            }
        };
        self.events.push_back(event);
        Ok(())
    }

    /// Our own message comes back as an ack only; the timeline needs it all the same.
    fn handle_ack(&mut self, ack: &MessageAck<'_>, now: Millis) -> Result<(), ParseIdError> {
        let message_id = ack.message_id.parse()?;
        let Some(settled) = self.outbox.handle_ack(&ack.client_msg_id, now) else {
            return Ok(());
        };
        let sent = settled.message;
        if let Some(sender_id) = self.user.filter(|_| ack.seq_id > 0) {
            match self.own_message(&sent, message_id, sender_id) {
                Some(message) => self.insert(Message {
                    seq_id: ack.seq_id,
                    created_at: ack.created_at,
                    rev: ack.rev,
                    ..message
                }),
                None => self.read_back(sent.conversation_id, ack.seq_id, ack.rev),
            }
        }
        let (seq_id, created_at) = (ack.seq_id, ack.created_at);
        self.events.push_back(Event::Sent {
            message: sent,
            message_id,
            seq_id,
            created_at,
        });
        Ok(())
    }

    /// What became of a message of ours. `None` when only the server knows: of the users that a
    /// message names it keeps those who are members, and it knows messages that weren't told here.
    fn own_message(&self, sent: &Outgoing, id: MessageId, sender: UserId) -> Option<Message> {
        let refers = &sent.refers;
        if !refers.mentions.is_empty() {
            return None;
        }
        let place = sent.conversation_id;
        let reply_to = match refers.reply_to {
            Some(answered) => Some(self.told.quote(place, answered)?),
            None => None,
        };
        Some(Message {
            message_type: sent.message_type,
            content: sent.content.clone(),
            client_msg_id: sent.client_msg_id.clone(),
            extra: sent.extra.clone(),
            reply_to,
            mention_all: refers.mention_all,
            ..Message::new(place, id, sender)
        })
    }

    fn handle_error(&mut self, frame: &ErrorFrame<'_>, now: Millis) {
        let error: Error = frame.to_error();
        match &frame.details.client_msg_id {
            Some(id) => {
                if let Some(settled) = self.outbox.handle_error(id, error, now) {
                    self.refuse(settled);
                }
            }
            None => self.events.push_back(Event::Error(error)),
        }
    }

    /// Whether the conversations were listed on this connection.
    pub(super) const fn is_listed(&self) -> bool {
        match &self.phase {
            Phase::Online(online) => matches!(online.listing, Listing::Done),
            _ => false,
        }
    }

    /// Notices that everything is known.
    pub(super) fn settle_sync(&mut self) {
        let replicas = &self.replicas;
        let behind = self
            .gaps
            .iter()
            .any(|id| replicas.get(id).is_some_and(Replica::is_catching_up));
        let before = self.state();
        let Phase::Online(online) = &mut self.phase else {
            return;
        };
        if !matches!(online.listing, Listing::Done) || (behind && !online.ready) {
            return;
        }
        online.ready = true;
        if self.server_time > 0 {
            self.synced_at = Some(self.server_time);
        }
        self.report_state(before);
    }
}
