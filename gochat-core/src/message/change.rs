//! What may happen to a message after it was sent.

/// How long an author may take a message back, in milliseconds: two minutes.
pub const RECALL_WINDOW_MS: u64 = 120_000;

/// How long an author may edit a message, in milliseconds: 48 hours.
pub const EDIT_WINDOW_MS: u64 = 48 * 60 * 60 * 1_000;

/// Maximum number of edits of one message.
pub const EDITS_MAX: u32 = 1_000;

/// A kind of change; the numbers are those of the wire and the database.
///
/// ```
/// use gochat_core::message::ChangeKind;
/// assert_eq!(ChangeKind::from_i32(1), Some(ChangeKind::Edit));
/// assert_eq!(ChangeKind::Recall.name(), "recalled");
/// assert_eq!(ChangeKind::from_i32(0), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum ChangeKind {
    /// The author says something else.
    Edit = 1,
    /// The message is taken back: its content is erased for everybody.
    Recall = 2,
    /// Somebody puts an emoji under the message.
    React = 3,
    /// Somebody takes an own emoji away from it.
    Unreact = 4,
    /// The message is put on the list of pins of its conversation, on top.
    Pin = 5,
    /// The message is taken off that list.
    Unpin = 6,
}

impl ChangeKind {
    /// Every kind, in the order of the numbers.
    pub const ALL: [Self; 6] = [
        Self::Edit,
        Self::Recall,
        Self::React,
        Self::Unreact,
        Self::Pin,
        Self::Unpin,
    ];

    /// The kind with this number.
    pub fn from_i32(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i32 == number)
    }

    /// The number on the wire and in the database.
    pub const fn as_i32(self) -> i32 {
        self as i32
    }

    /// The word clients read in `message-changed`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edit => "edited",
            Self::Recall => "recalled",
            Self::React | Self::Unreact => "reaction",
            Self::Pin => "pinned",
            Self::Unpin => "unpinned",
        }
    }

    /// Whether it puts an emoji under a message or takes one away.
    pub const fn is_reaction(self) -> bool {
        matches!(self, Self::React | Self::Unreact)
    }

    /// Whether the number of pins of the conversation may change with it.
    pub const fn moves_pins(self) -> bool {
        matches!(self, Self::Recall | Self::Pin | Self::Unpin)
    }
}

/// Bounds in time of what authors may do to their messages, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// For edits; 0 where nobody may edit.
    pub edit: u64,
    /// For recalls by the author; `None` where the conversation has switched recalls off.
    pub recall: Option<u64>,
}
