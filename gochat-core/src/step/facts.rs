//! What is known about a conversation, and the judgement that follows from it.

use hashbrown::HashMap;

use super::record::{Change, Sender};
use crate::error::{Error, ErrorCode, Result};
use crate::ids::{ConversationId, UnixMillis, UserId};
use crate::message::{ChangeKind, Emoji, RECALL_WINDOW_MS};

/// Most memberships remembered of a group that is too large to list; beyond, all are forgotten.
const ASKED_MOST: usize = 4096;

/// A member's standing: only what sending depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The member.
    pub user: UserId,
    /// Admin or owner: may speak while everybody is muted.
    pub privileged: bool,
    /// Muted until then: 0 is not muted, [`Standing::FOREVER`] has no end.
    pub muted_until: UnixMillis,
}

impl Standing {
    /// A mute without an end.
    pub const FOREVER: UnixMillis = UnixMillis::MAX;

    /// An ordinary member who may speak.
    pub const fn plain(user: UserId) -> Self {
        Self {
            user,
            privileged: false,
            muted_until: 0,
        }
    }

    fn is_plain(&self) -> bool {
        !self.privileged && self.muted_until == 0
    }
}

/// Who is in a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Members {
    /// Follows from the id: the pair of a single chat, everybody in the world chat.
    Implicit,
    /// The whole list of a group.
    All(MemberList),
    /// Memberships that were asked for, of a group too large to list.
    Asked(HashMap<UserId, Option<Standing>>),
}

/// All members of a group, 8 bytes each; only those with a role or a mute take more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberList {
    /// Ascending.
    ids: Box<[UserId]>,
    /// Ascending by user; members that are not listed here are plain.
    special: Box<[Standing]>,
}

impl Members {
    /// The whole list of a group, in any order; repeats are dropped.
    pub fn all(members: impl IntoIterator<Item = Standing>) -> Self {
        let mut members: Vec<Standing> = members.into_iter().collect();
        members.sort_by_key(|m| m.user);
        members.dedup_by_key(|m| m.user);
        Self::All(MemberList {
            ids: members.iter().map(|m| m.user).collect(),
            special: members.iter().filter(|m| !m.is_plain()).copied().collect(),
        })
    }

    /// The answer to a question about some users of a large group: those found among them.
    pub fn asked(asked: &[UserId], found: impl IntoIterator<Item = Standing>) -> Self {
        let mut known: HashMap<_, _> = asked.iter().map(|user| (*user, None)).collect();
        known.extend(
            found
                .into_iter()
                .map(|standing| (standing.user, Some(standing))),
        );
        Self::Asked(known)
    }

    /// The listed members; `None` when the list isn't known or there is none.
    pub fn list(&self) -> Option<&[UserId]> {
        match self {
            Self::All(list) => Some(&list.ids),
            _ => None,
        }
    }

    /// Standing of a user in `conversation`; the outer `None` means it must be asked for.
    pub(super) fn standing(
        &self,
        conversation: ConversationId,
        user: UserId,
    ) -> Option<Option<Standing>> {
        match (self, conversation) {
            (_, ConversationId::World) => Some(Some(Standing::plain(user))),
            (_, ConversationId::Single(..)) => {
                Some(conversation.peer_of(user).map(|_| Standing::plain(user)))
            }
            (Self::All(list), _) => Some(list.standing(user)),
            (Self::Asked(known), _) => known.get(&user).copied(),
            (Self::Implicit, _) => None,
        }
    }
}

impl MemberList {
    fn standing(&self, user: UserId) -> Option<Standing> {
        self.ids.binary_search(&user).ok()?;
        match self.special.binary_search_by_key(&user, |m| m.user) {
            Ok(ix) => Some(self.special[ix]),
            Err(_) => Some(Standing::plain(user)),
        }
    }
}

/// Facts about a conversation, as loaded; see [`super::PartitionMachine`] for how they age.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// Nothing may be sent any more.
    pub dissolved: bool,
    /// Only privileged members may speak.
    pub mute_all: bool,
    /// The pair of a single chat is blocked, in either direction.
    pub blocked: bool,
    /// Guests may speak in the world chat.
    pub guests_allowed: bool,
    /// Messages per minute of one author in the world chat; 0 is no limit.
    pub messages_per_minute: u32,
    /// How long an author may take a message back, in milliseconds; `None` where nobody may.
    pub recall_window: Option<u64>,
    /// Members may not read what was said before they joined.
    pub hides_earlier: bool,
    /// Everybody may pin, not only admins and the owner.
    pub members_pin: bool,
    /// Everybody may name everybody, not only admins and the owner.
    pub members_mention_all: bool,
    /// Milliseconds between two messages of a plain member of a group; 0 is no slow mode.
    pub slow_mode: u64,
    /// The text before an edit is kept for admins and the owner of the group.
    pub keeps_former_texts: bool,
    /// What happens to the group is told in its timeline.
    pub system_messages: bool,
    /// What may be reacted with; `None` is any emoji and no name.
    pub reactions: Option<Box<[Emoji]>>,
    /// Who is in it.
    pub members: Members,
}

impl Facts {
    /// Facts of a conversation in which nothing is restricted.
    pub const fn open(members: Members) -> Self {
        Self {
            dissolved: false,
            mute_all: false,
            blocked: false,
            guests_allowed: true,
            messages_per_minute: 0,
            recall_window: Some(RECALL_WINDOW_MS),
            hides_earlier: false,
            members_pin: true,
            members_mention_all: true,
            slow_mode: 0,
            keeps_former_texts: false,
            system_messages: false,
            reactions: None,
            members,
        }
    }

    /// Whether a message of this user can be judged without asking again.
    pub fn covers(&self, conversation: ConversationId, user: UserId) -> bool {
        self.members.standing(conversation, user).is_some()
    }

    /// Whether `user` may name everybody: in groups admins and the owner, or every member where the
    /// group says so; nobody elsewhere.
    pub(super) fn judge_mention_all(
        &self,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<()> {
        let is_group = matches!(conversation, ConversationId::Group(_));
        let standing = self.standing(conversation, user)?;
        let may = is_group && (self.members_mention_all || standing.privileged);
        may.then_some(())
            .ok_or_else(|| ErrorCode::InsufficientPermission.into())
    }

    /// Milliseconds that `user` has to leave between two messages; 0 for admins and the owner, and
    /// where there is no slow mode.
    pub(super) fn interval_of(&self, conversation: ConversationId, user: UserId) -> u64 {
        let standing = self.members.standing(conversation, user).flatten();
        match standing.is_some_and(|standing| standing.privileged) {
            true => 0,
            false => self.slow_mode,
        }
    }

    /// Replaces these facts by newer ones and keeps what was asked about a large group: within
    /// one generation of facts both are equally new.
    pub(super) fn extend(&mut self, newer: Facts) {
        let older = std::mem::replace(self, newer);
        if let (Members::Asked(old), Members::Asked(known)) = (older.members, &mut self.members)
            && old.len() + known.len() <= ASKED_MOST
        {
            for (user, standing) in old {
                known.entry(user).or_insert(standing);
            }
        }
    }

    /// Rough memory in units of 8 bytes.
    pub(super) fn weight(&self) -> usize {
        let reactions = self.reactions.as_ref().map_or(0, |listed| 6 * listed.len());
        reactions
            + match &self.members {
                Members::Implicit => 0,
                Members::All(list) => list.ids.len() + 3 * list.special.len(),
                Members::Asked(known) => 6 * known.len(),
            }
    }

    /// Whether `user` may send to `conversation` now.
    ///
    /// # Errors
    /// The first reason against it. Retryable ones mean the judgement has to wait.
    pub fn judge(
        &self,
        conversation: ConversationId,
        user: UserId,
        sender: Sender,
        now: UnixMillis,
    ) -> Result<()> {
        let standing = self.standing(conversation, user)?;
        if now < standing.muted_until {
            return Err(ErrorCode::MemberMuted.into());
        }
        if self.mute_all && !standing.privileged {
            return Err(Error::new(
                ErrorCode::MemberMuted,
                "Only admins may write here now.",
            ));
        }
        if self.blocked {
            return Err(Error::new(
                ErrorCode::Forbidden,
                "You can't write to this user.",
            ));
        }
        judge_account(sender)?;
        self.judge_guest(conversation, sender)
    }

    /// Whether a system message may be written: into every group that is not dissolved.
    pub(super) fn judge_system(&self, conversation: ConversationId) -> Result<()> {
        match conversation {
            ConversationId::Group(_) if self.dissolved => {
                Err(ErrorCode::ConversationDissolved.into())
            }
            ConversationId::Group(_) => Ok(()),
            _ => Err(ErrorCode::UnsupportedMessageType.into()),
        }
    }

    /// Whether it is known that `user` is no member of `conversation`.
    pub(super) fn is_stranger(&self, conversation: ConversationId, user: UserId) -> bool {
        self.members.standing(conversation, user) == Some(None)
    }

    /// Whether `user` may change messages of `conversation` in this way now, and with which standing.
    /// Edits, reactions and pins speak, and are judged like a message. Taking back is open to
    /// members who may not speak. In the world chat nobody pins.
    ///
    /// # Errors
    /// The first reason against it. Retryable ones mean the judgement has to wait.
    pub fn judge_change(
        &self,
        conversation: ConversationId,
        change: Change,
        user: UserId,
        sender: Sender,
        now: UnixMillis,
    ) -> Result<Standing> {
        match change.kind {
            ChangeKind::Recall | ChangeKind::Unreact => judge_account(sender)?,
            _ => self.judge(conversation, user, sender, now)?,
        }
        let standing = self.standing(conversation, user)?;
        match change.kind {
            ChangeKind::React => self.judge_reaction(change.emoji)?,
            ChangeKind::Pin | ChangeKind::Unpin => {
                let is_open = self.members_pin && conversation != ConversationId::World;
                if !is_open && !standing.privileged {
                    return Err(ErrorCode::InsufficientPermission.into());
                }
            }
            _ => {}
        }
        Ok(standing)
    }

    fn judge_reaction(&self, emoji: Option<Emoji>) -> Result<()> {
        let allowed = match (emoji, &self.reactions) {
            (None, _) => false,
            (Some(emoji), Some(listed)) => listed.contains(&emoji),
            (Some(emoji), None) => !emoji.is_name(),
        };
        allowed
            .then_some(())
            .ok_or_else(|| ErrorCode::ReactionNotAllowed.into())
    }

    fn standing(&self, conversation: ConversationId, user: UserId) -> Result<Standing> {
        if self.dissolved {
            return Err(ErrorCode::ConversationDissolved.into());
        }
        match self.members.standing(conversation, user) {
            Some(Some(standing)) => Ok(standing),
            Some(None) => Err(ErrorCode::NotConversationMember.into()),
            None => Err(ErrorCode::ServiceUnavailable.into()),
        }
    }

    fn judge_guest(&self, conversation: ConversationId, sender: Sender) -> Result<()> {
        let closed_to_guests = conversation == ConversationId::World && !self.guests_allowed;
        match sender {
            Sender::Known { guest: true, .. } if closed_to_guests => {
                Err(ErrorCode::GuestNotAllowed.into())
            }
            Sender::Unknown if closed_to_guests => Err(ErrorCode::ServiceUnavailable.into()),
            _ => Ok(()),
        }
    }
}

fn judge_account(sender: Sender) -> Result<()> {
    match sender {
        Sender::Missing => Err(ErrorCode::UserNotFound.into()),
        Sender::Known { active: false, .. } => Err(ErrorCode::UserDisabled.into()),
        _ => Ok(()),
    }
}
