//! Characters that show nothing.

/// Whether the character shows nothing by itself and is no white space: control characters, format
/// characters, fillers, variation selectors and blank glyphs.
pub fn is_invisible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(c,
        // C1 controls, line and paragraph separators
        '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}'
        // Default_Ignorable_Code_Point
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        // interlinear annotations, glyphs without ink
        | '\u{fff9}'..='\u{fffb}' | '\u{2800}' | '\u{1d159}')
}

/// Whether a text shows nothing: it is empty, or has white space and invisible characters only.
///
/// ```
/// use gochat_core::text::is_blank;
/// assert!(is_blank(" \u{200b}\u{3164}\n"));
/// assert!(!is_blank("\u{200b}x"));
/// ```
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_invisible(c))
}

/// Whether the invisible character at `at` is needed for what stands around it: emoji sequences and
/// the joiners of Indic and Arabic scripts.
pub(super) fn is_needed(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|i| chars.get(i)).copied();
    let after = chars.get(at + 1).copied();
    let (Some(c), Some(before)) = (chars.get(at).copied(), before) else {
        return false;
    };
    match c {
        // text and emoji style of a symbol, or of a digit of a keycap
        '\u{fe0e}' | '\u{fe0f}' => is_pictograph(before) || matches!(before, '0'..='9' | '#' | '*'),
        '\u{200d}' => {
            let joins =
                is_pictograph(before) || matches!(before, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
            (joins && after.is_some_and(is_pictograph)) || is_virama(before)
        }
        '\u{200c}' => is_virama(before) || (is_arabic(before) && after.is_some_and(is_arabic)),
        // the tags of flags such as Scotland's
        '\u{e0020}'..='\u{e007f}' => {
            matches!(before, '\u{1f3f4}' | '\u{e0020}'..='\u{e007e}')
        }
        _ => false,
    }
}

/// Whether the character belongs to a block of symbols and emoji.
fn is_pictograph(c: char) -> bool {
    matches!(c,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2100}'..='\u{27bf}'
        | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}' | '\u{3030}' | '\u{303d}'
        | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

/// Whether the character is the sign that takes a vowel away (canonical combining class 9).
fn is_virama(c: char) -> bool {
    unicode_normalization::char::canonical_combining_class(c) == 9
}

fn is_arabic(c: char) -> bool {
    matches!(c, '\u{620}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_is_blank() {
        let invisible = [
            "",
            "   ",
            "\u{200b}",
            "\u{2060}",
            "\u{feff}",
            "\u{2800}",
            "\u{3164}",
            "\u{200e}",
            "\u{34f}",
            "\u{1}",
            "\u{0}",
            "\u{fe0f}",
            "\u{e0041}",
            "\u{ad}",
            "\u{115f}",
            "\u{202e}",
            "\u{180e}",
            "\u{ffa0}",
            "\u{85}",
            "\u{2028}",
            "\u{3000}",
            "\u{1d159}",
        ];
        for text in invisible {
            assert!(is_blank(&text.repeat(3)), "{text:?}");
        }
        for text in ["x", "\u{301}", "👋", ".", "\u{200b}é", "\u{fffd}"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
