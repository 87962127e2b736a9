//! The structs of the port, column by column.

use gochat_core::conversation::Announcement;
use gochat_core::message::{FormerText, References, Tally};
use gochat_core::own_state::OwnState;
use gochat_core::read::ReadPointer;
use gochat_core::receipt::MemberPointer;
use gochat_core::token::{End, Session};

use super::{FromRow, Reader, Source};
use crate::port::db::{
    AnnouncementReader, AnnouncementReads, AuditRow, ConversationEntry, ConversationHead,
    ConversationRow, DbResult, EndedSession, FriendEntry, FriendRequestEntry, FriendRequestRow,
    HiddenRow, InvitationRow, JoinRequestRow, LinkRow, MemberEntry, MemberRow, MessageEntry,
    MessageRow, OwedMessage, PasswordRow, QuotedRow, RecentMessage, SigningKeyRow, TargetRow,
    UserBrief, UserRow,
};
use crate::sql::changes::Stand;
use crate::sql::mentions::excerpt_of;

/// Reads a struct field by field; the order of the fields is the order of the columns.
macro_rules! from_row_struct {
    ($ty:ident, $width:literal, { $($field:ident),* $(,)? }) => {
        impl FromRow for $ty {
            const WIDTH: usize = $width;
            fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
                Ok(Self { $($field: reader.next()?),* })
            }
        }
    };
}

from_row_struct!(UserRow, 9, {
    id, username, avatar_url, is_guest, status, created_at, updated_at, version, added_by,
});
from_row_struct!(UserBrief, 4, { id, username, avatar_url, is_guest });
from_row_struct!(ConversationRow, 19, {
    id, name, avatar_url, description, owner_id, member_count, settings, last_message_id,
    last_seq_id, dissolved, created_at, updated_at, version, last_rev,
    pinned_count, announcement,
});
from_row_struct!(FormerText, 4, { edit_no, content, extra, written_at });
from_row_struct!(AnnouncementReads, 2, { version, readers });
from_row_struct!(AnnouncementReader, 2, { user, read_at });
from_row_struct!(ConversationHead, 3, { id, seq, rev });
from_row_struct!(MemberRow, 8, {
    conversation_id, user_id, role, muted, muted_until, hidden, joined_at, updated_at,
});
from_row_struct!(MemberEntry, 12, { member, user });
from_row_struct!(MessageEntry, 21, { message, sender });
from_row_struct!(RecentMessage, 7, {
    sender_id, client_msg_id, message_id, seq_id, rev, created_at, is_change,
});
from_row_struct!(Stand, 9, {
    conversation_id, seq_id, id, rev, deleted, edited_at, edit_count, pinned, reactions,
});
from_row_struct!(InvitationRow, 6, {
    id, conversation_id, user_id, inviter_id, created_at, expires_at,
});
from_row_struct!(LinkRow, 7, {
    code, conversation_id, creator_id, max_uses, used, created_at, expires_at,
});
from_row_struct!(JoinRequestRow, 8, {
    id, conversation_id, user_id, status, text, created_at, changed_at, expires_at,
});
from_row_struct!(FriendRequestEntry, 17, { request, requester, target });
from_row_struct!(FriendEntry, 9, { friend_id, status, remark, created_at, updated_at, user });
from_row_struct!(SigningKeyRow, 8, {
    generation, kid, algorithm, public_key, sealed_key, created_at, signs_from, retires_at,
});
from_row_struct!(AuditRow, 8, { id, at, actor, action, target, address, outcome, detail });
from_row_struct!(OwedMessage, 5, { id, conversation_id, sender_id, content, created_at });
from_row_struct!(PasswordRow, 2, { hash, version });
from_row_struct!(EndedSession, 4, { id, user, ended_at, expires_at });
from_row_struct!(OwnState, 8, {
    version, mute_until, is_pinned, is_archived, is_marked_unread, draft, cleared_up_to,
    hidden_count,
});
from_row_struct!(HiddenRow, 3, { seq_id, message_id, version });
from_row_struct!(FriendRequestRow, 9, {
    id, requester_id, target_id, status, message, remark, mirrored, created_at, updated_at,
});

impl FromRow for MemberPointer {
    const WIDTH: usize = 4;
    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        Ok(Self {
            user: reader.next()?,
            joined_at: reader.next()?,
            pointer: ReadPointer::at(reader.next()?),
            moved_at: reader.next()?,
        })
    }
}

/// The text is NULL where there never was one.
impl FromRow for Announcement {
    const WIDTH: usize = 4;
    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        Ok(Self {
            text: reader.text()?.unwrap_or_default(),
            version: reader.next()?,
            at: reader.next()?,
            by: reader.next()?,
        })
    }
}

/// The JSON of a message's row; NULL is none.
impl FromRow for Tally {
    const WIDTH: usize = 1;
    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        let json = reader.text()?;
        Ok(json.map_or_else(Self::default, |json| Self::from_json(&json)))
    }
}

/// The JSON of a message's row. What can't be read is nothing: a message stays readable.
impl FromRow for Box<References> {
    const WIDTH: usize = 1;
    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        let json: String = reader.next()?;
        Ok(serde_json::from_str(&json).unwrap_or_default())
    }
}

/// The target, then the beginning of its content where that is asked for.
impl FromRow for TargetRow {
    const WIDTH: usize = 10;
    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        let mut target = Self {
            message_id: reader.next()?,
            seq_id: reader.next()?,
            sender_id: reader.next()?,
            created_at: reader.next()?,
            deleted: reader.next()?,
            edit_count: reader.next()?,
            pinned: reader.next()?,
            reactions: reader.next()?,
            message_type: reader.next()?,
            excerpt: String::new(),
        };
        let beginning = reader.text()?.filter(|_| !target.deleted);
        target.excerpt = excerpt_of(target.message_type, &beginning.unwrap_or_default());
        Ok(target)
    }
}

/// The message, then the beginning of its content.
impl FromRow for QuotedRow {
    const WIDTH: usize = 8;
    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        let mut quoted = Self {
            id: reader.next()?,
            seq_id: reader.next()?,
            sender_id: reader.next()?,
            deleted: reader.next()?,
            edit_count: reader.next()?,
            created_at: reader.next()?,
            message_type: reader.next()?,
            excerpt: String::new(),
        };
        let beginning = reader.text()?.filter(|_| !quoted.deleted);
        quoted.excerpt = excerpt_of(quoted.message_type, &beginning.unwrap_or_default());
        Ok(quoted)
    }
}

impl FromRow for MessageRow {
    const WIDTH: usize = 17;
    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        let mut message = Self {
            id: reader.next()?,
            conversation_id: reader.next()?,
            seq_id: reader.next()?,
            sender_id: reader.next()?,
            message_type: reader.next()?,
            content: reader.next()?,
            client_msg_id: reader.next()?,
            extra: reader.next()?,
            deleted: reader.next()?,
            created_at: reader.next()?,
            updated_at: reader.next()?,
            rev: reader.next()?,
            edited_at: reader.next()?,
            edit_count: reader.next()?,
            pinned: reader.next()?,
            reactions: reader.next()?,
            references: reader.next()?,
        };
        if message.deleted {
            message.content = String::new();
            message.extra = None;
            message.pinned = false;
            message.reactions = Tally::default();
            message.references = None;
        }
        Ok(message)
    }
}

/// A line of the conversation list as the joins deliver it.
pub(crate) struct Entry(pub(crate) ConversationEntry);

impl FromRow for Entry {
    const WIDTH: usize = 19 + 8 + 21 + 4 + 4 + 8 + 1;

    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        Ok(Self(ConversationEntry {
            conversation: reader.next()?,
            membership: reader.next()?,
            last_message: reader.next()?,
            peer: reader.next()?,
            last_read_seq_id: reader.next()?,
            unread: reader.next()?,
            peer_read_seq_id: reader.next()?,
            blocked: reader.next()?,
            own: reader.next()?,
            last_hidden: reader.next()?,
        }))
    }
}

impl FromRow for Session {
    const WIDTH: usize = 13;

    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        Ok(Self {
            id: reader.next()?,
            user: reader.next()?,
            device: reader.next()?,
            client: reader.next()?,
            address: reader.next()?,
            created_at: reader.next()?,
            last_used_at: reader.next()?,
            expires_at: reader.next()?,
            generation: reader.next()?,
            rotated_at: reader.next()?,
            refresh_hash: reader.next()?,
            ended: reader.next()?,
        })
    }
}

impl FromRow for End {
    const WIDTH: usize = 2;

    fn from_row<S: Source>(reader: &mut Reader<'_, S>) -> DbResult<Self> {
        Ok(Self {
            at: reader.next()?,
            reason: reader.next()?,
        })
    }
}
