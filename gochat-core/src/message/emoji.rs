//! What people react with.

use std::fmt;

use unicode_properties::{EmojiStatus, UnicodeEmoji as _};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::error::{Error, ErrorCode};

/// Longest emoji or name of a reaction, in bytes. The longest emoji of Unicode 17 has 35.
pub const EMOJI_BYTES_MAX: usize = 40;

/// Makes an emoji of a character that is usually shown as text.
const AS_EMOJI: char = '\u{FE0F}';
/// Makes text of a character that may be shown as an emoji.
const AS_TEXT: char = '\u{FE0E}';
const KEYCAP: char = '\u{20E3}';
const JOINER: char = '\u{200D}';

/// An emoji, or a name that stands for a picture of the application's own: the kind of a reaction.
///
/// An emoji is one grapheme. It is kept in the spelling of emoji, so that the heart of one keyboard and
/// that of another are one kind. A name has lower-case letters, digits, `_`, `+` and `-`; it counts
/// only where a group allows it.
///
/// ```
/// use gochat_core::message::Emoji;
/// let thumb: Emoji = "👍🏽".parse().unwrap();
/// assert_eq!(thumb.as_str(), "👍🏽");
/// assert_eq!("\u{2764}".parse::<Emoji>().unwrap(), "\u{2764}\u{FE0F}".parse().unwrap());
/// assert!("party_parrot".parse::<Emoji>().unwrap().is_name());
/// assert!("hello world".parse::<Emoji>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Emoji {
    /// Zeros follow the text.
    bytes: [u8; EMOJI_BYTES_MAX],
    len: u8,
}

impl Emoji {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    /// Whether it is a name and no emoji of Unicode.
    pub fn is_name(&self) -> bool {
        is_name(self.as_str())
    }

    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; EMOJI_BYTES_MAX];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).ok()?;
        Some(Self { bytes, len })
    }
}

impl std::str::FromStr for Emoji {
    type Err = Error;

    /// Reads what a client sent.
    ///
    /// # Errors
    /// `REACTION_NOT_ALLOWED` for what is neither one emoji nor a name, or too long.
    fn from_str(text: &str) -> Result<Self, Error> {
        let found = match is_name(text) {
            true => Self::new(text),
            false => emoji(text).and_then(|normal| Self::new(&normal)),
        };
        found.ok_or_else(|| ErrorCode::ReactionNotAllowed.into())
    }
}

impl fmt::Debug for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Emoji({})", self.as_str())
    }
}

impl fmt::Display for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'+' | b'-');
    (1..=EMOJI_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// The one emoji of a text in its usual spelling.
fn emoji(text: &str) -> Option<String> {
    if text.len() > EMOJI_BYTES_MAX || text.graphemes(true).count() != 1 {
        return None;
    }
    let parts: Vec<char> = text.chars().collect();
    match parts[..] {
        [one] | [one, AS_EMOJI | AS_TEXT] => single(one),
        ['0'..='9' | '#' | '*', KEYCAP] | ['0'..='9' | '#' | '*', AS_EMOJI, KEYCAP] => {
            Some([parts[0], AS_EMOJI, KEYCAP].iter().collect())
        }
        [first, ref rest @ ..] => {
            let is_whole = !first.is_ascii() && first.is_emoji_char();
            (is_whole && rest.iter().all(|c| is_part(*c))).then(|| text.to_owned())
        }
        [] => None,
    }
}

/// An emoji of one character. Half a flag is none.
fn single(one: char) -> Option<String> {
    let is_half_flag = ('\u{1F1E6}'..='\u{1F1FF}').contains(&one);
    if one.is_ascii() || is_half_flag || !one.is_emoji_char() {
        return None;
    }
    let is_text = matches!(
        one.emoji_status(),
        EmojiStatus::EmojiOther | EmojiStatus::EmojiModifierBase
    );
    Some(match is_text {
        true => [one, AS_EMOJI].iter().collect(),
        false => one.to_string(),
    })
}

/// What may follow the first character of an emoji: others that are joined to it, a colour of skin,
/// a colour of hair, the rest of a flag.
fn is_part(c: char) -> bool {
    let is_tag = ('\u{E0020}'..='\u{E007F}').contains(&c);
    c == JOINER || c == AS_EMOJI || is_tag || (!c.is_ascii() && c.is_emoji_char())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<String> {
        let emoji = text.parse::<Emoji>();
        emoji.ok().map(|emoji| emoji.as_str().to_owned())
    }

    #[test]
    fn emoji_of_all_kinds_are_read() {
        let family = "👨\u{200D}👩\u{200D}👧\u{200D}👦";
        let england = "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}";
        let kiss = "🧑🏿\u{200D}❤\u{FE0F}\u{200D}💋\u{200D}🧑🏿";
        for whole in [
            "👍",
            "👍🏽",
            "🇩🇪",
            "🫠",
            family,
            england,
            kiss,
            "👁\u{FE0F}\u{200D}🗨\u{FE0F}",
        ] {
            assert_eq!(read(whole).as_deref(), Some(whole));
        }
    }

    #[test]
    fn one_emoji_has_one_spelling() {
        for heart in ["\u{2764}", "\u{2764}\u{FE0F}", "\u{2764}\u{FE0E}"] {
            assert_eq!(read(heart).as_deref(), Some("\u{2764}\u{FE0F}"));
        }
        assert_eq!(read("👍\u{FE0F}").as_deref(), Some("👍"));
        assert_eq!(read("1\u{20E3}").as_deref(), Some("1\u{FE0F}\u{20E3}"));
    }

    #[test]
    fn what_is_no_emoji_and_no_name_is_refused() {
        let half_flag = "\u{1F1E9}";
        for text in [
            "",
            " ",
            "A",
            "ä",
            "👍👍",
            "👍 ",
            "a b",
            "Ok",
            "\u{200D}",
            "\u{FE0F}",
            half_flag,
            "👍\u{200D}a",
            "\u{0}",
            "e\u{301}",
            "<b>",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read(&"👍\u{200D}".repeat(20)), None);
        assert_eq!(read(&"a".repeat(41)), None);
        assert_eq!(read(&"a".repeat(40)), Some("a".repeat(40)));
    }

    proptest! {
        #[test]
        fn what_was_read_is_read_again_as_the_same(text in any::<String>()) {
            if let Ok(emoji) = text.parse::<Emoji>() {
                prop_assert_eq!(emoji.as_str().parse::<Emoji>().unwrap(), emoji);
                prop_assert!(!emoji.as_str().chars().any(char::is_control));
            }
        }
    }
}
