//! Message types.

/// How to read a message's content; the numbers are those of the wire and the database.
///
/// ```
/// use gochat_core::message::MessageType;
/// assert_eq!(MessageType::from_i32(6), Some(MessageType::Video));
/// assert_eq!(MessageType::from_name("voice"), Some(MessageType::Voice));
/// assert_eq!(MessageType::from_i32(7), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum MessageType {
    /// Plain text.
    Text = 1,
    /// A picture.
    Image = 2,
    /// A file.
    File = 3,
    /// Written by the server; clients may not send it.
    System = 4,
    /// A voice note.
    Voice = 5,
    /// A video.
    Video = 6,
}

impl MessageType {
    /// Every type, in the order of the numbers.
    pub const ALL: [Self; 6] = [
        Self::Text,
        Self::Image,
        Self::File,
        Self::System,
        Self::Voice,
        Self::Video,
    ];

    /// The type with this number.
    pub const fn from_i32(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Text),
            2 => Some(Self::Image),
            3 => Some(Self::File),
            4 => Some(Self::System),
            5 => Some(Self::Voice),
            6 => Some(Self::Video),
            _ => None,
        }
    }

    /// The number on the wire and in the database.
    pub const fn as_i32(self) -> i32 {
        self as i32
    }

    /// The name clients may use instead of the number.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::File => "file",
            Self::System => "system",
            Self::Voice => "voice",
            Self::Video => "video",
        }
    }

    /// The type with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_number_and_by_name() {
        for kind in MessageType::ALL {
            assert_eq!(MessageType::from_i32(kind.as_i32()), Some(kind));
            assert_eq!(MessageType::from_name(kind.name()), Some(kind));
        }
        assert_eq!(MessageType::from_i32(0), None);
        assert_eq!(MessageType::from_name("Text"), None);
    }
}
