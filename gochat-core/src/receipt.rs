//! Receipts: who learns how far others have read.
//!
//! A read pointer says that everything up to a number was read. So who has read a message is
//! answered from the pointers as they stand, and a client that was away asks for the present
//! state; no receipt has to be kept for it.

use crate::conversation::Settings;
use crate::error::{ErrorCode, Result};
use crate::ids::{ConversationKind, SeqId, UnixMillis, UserId};
use crate::read::ReadPointer;

/// Maximum number of members of a group whose readers are told; larger groups are answered with
/// `TOO_MANY_MEMBERS`.
pub const READ_BY_MEMBERS_MAX: u32 = 200;

/// Returns true if both sides of a single chat see the read pointer of the other side. Stored
/// settings may forbid that, and so does a block. Settings that can't be parsed are the defaults.
///
/// ```
/// use gochat_core::receipt::are_shown;
/// assert!(are_shown("", false));
/// assert!(!are_shown("", true));
/// assert!(!are_shown(r#"{"single_settings":{"show_read_status":false}}"#, false));
/// ```
pub fn are_shown(settings: &str, is_blocked: bool) -> bool {
    !is_blocked && is_switched_on(settings)
}

fn is_switched_on(settings: &str) -> bool {
    // Settings are rarely there, and a list asks this for each of its rows.
    if !settings.contains("show_read_status") {
        return true;
    }
    match Settings::parse(ConversationKind::Single, settings) {
        Ok(Settings::Single(settings)) => settings.show_read_status,
        _ => true,
    }
}

/// Refuses the question who has read in conversations that are too large for an answer.
///
/// # Errors
/// `TOO_MANY_MEMBERS` for the world chat and for groups of more than [`READ_BY_MEMBERS_MAX`].
pub fn may_list_readers(kind: ConversationKind, member_count: u32) -> Result<()> {
    let is_small = match kind {
        ConversationKind::Single => true,
        ConversationKind::Group => member_count <= READ_BY_MEMBERS_MAX,
        ConversationKind::World => false,
    };
    if is_small {
        Ok(())
    } else {
        Err(ErrorCode::TooManyMembers.into())
    }
}

/// Read pointer of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberPointer {
    /// The member.
    pub user: UserId,
    /// Time at which the member joined. Joining sets the pointer to the head.
    pub joined_at: UnixMillis,
    /// The pointer.
    pub pointer: ReadPointer,
    /// Time at which the pointer last moved.
    pub moved_at: UnixMillis,
}

impl MemberPointer {
    /// Returns true if the member has read the message at `seq` by `author`. Authors are no
    /// readers of their own messages, and a pointer that only joining has set counts as unread.
    pub fn has_read(&self, seq: SeqId, author: UserId) -> bool {
        self.user != author && self.pointer.seq() >= seq && self.moved_at > self.joined_at
    }
}

/// The members among `pointers` that have read the message at `seq` by `author`, in the order in
/// which their pointers moved last.
pub fn readers(
    pointers: impl IntoIterator<Item = MemberPointer>,
    seq: SeqId,
    author: UserId,
) -> Vec<MemberPointer> {
    let read = pointers.into_iter().filter(|p| p.has_read(seq, author));
    let mut readers: Vec<_> = read.collect();
    readers.sort_unstable_by_key(|reader| (reader.moved_at, reader.user));
    readers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn user(id: u64) -> UserId {
        UserId::new(id).unwrap()
    }

    fn pointers() -> impl Strategy<Value = Vec<MemberPointer>> {
        let one = (0u64..20, 0u64..50, 0u64..50);
        prop::collection::vec(one, 0..40).prop_map(|rows| {
            let row = |(id, (seq, joined_at, since))| MemberPointer {
                user: user(id),
                joined_at,
                pointer: ReadPointer::at(seq),
                moved_at: joined_at + since,
            };
            (1..).zip(rows).map(row).collect()
        })
    }

    proptest! {
        #[test]
        fn readers_are_whose_pointer_moved_to_the_message_or_beyond(
            pointers in pointers(), seq in 1u64..20, author in 1u64..40,
        ) {
            let found = readers(pointers.clone(), seq, user(author));
            for p in &pointers {
                let expected = p.user != user(author)
                    && p.pointer.unread(seq) == 0
                    && p.moved_at != p.joined_at;
                prop_assert_eq!(found.contains(p), expected);
            }
            prop_assert!(found.is_sorted_by_key(|p| p.moved_at));
        }

        #[test]
        fn who_has_read_a_message_has_read_those_before(
            pointers in pointers(), seq in 1u64..20, back in 0u64..20,
        ) {
            let author = user(99);
            let earlier = readers(pointers.clone(), seq.saturating_sub(back).max(1), author);
            for reader in readers(pointers, seq, author) {
                prop_assert!(earlier.contains(&reader));
            }
        }
    }

    #[test]
    fn large_groups_and_the_world_chat_are_refused() {
        let code = |kind, count| may_list_readers(kind, count).map_err(|e| e.code);
        let refused = Err(ErrorCode::TooManyMembers);
        assert_eq!(code(ConversationKind::Group, 200), Ok(()));
        assert_eq!(code(ConversationKind::Group, 201), refused);
        assert_eq!(code(ConversationKind::World, 0), refused);
        assert_eq!(code(ConversationKind::Single, 2), Ok(()));
    }

    #[test]
    fn settings_that_cannot_be_read_are_the_defaults() {
        assert!(are_shown(r#"{"show_read_status":"#, false));
        assert!(are_shown(
            r#"{"single_settings":{"show_read_status":true}}"#,
            false
        ));
    }
}
