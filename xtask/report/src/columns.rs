//! Text measured in the columns of a terminal: a wide character takes two, a combining one none.

use unicode_width::UnicodeWidthStr;

/// The columns that `text` takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `most` columns, ending with `…` where it is cut.
pub fn shortened(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    format!("{}…", split(text, most.saturating_sub(1)).0)
}

/// The words of `text` in lines of at most `most` columns. A word longer than that continues on the
/// next line.
pub fn folded(text: &str, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut gap = if line.is_empty() { "" } else { " " };
        for mut piece in pieces(word) {
            if !line.is_empty() && width(&line) + gap.len() + width(piece) > most {
                lines.push(std::mem::take(&mut line));
                gap = "";
            }
            while width(piece) > most {
                let (first, rest) = split(piece, most);
                if rest.is_empty() {
                    break;
                }
                lines.push(first.to_owned());
                piece = rest;
            }
            line.push_str(gap);
            line.push_str(piece);
            gap = "";
        }
    }
    lines.push(line);
    lines
}

/// The columns of the longest piece of `text` that [`folded`] keeps on one line where there is room.
pub fn longest_piece(text: &str) -> usize {
    text.split_whitespace().flat_map(pieces).map(width).max().unwrap_or(0)
}

/// The parts of a word, each ending with a hyphen or a slash where a line may end. The hyphens before an
/// option's name are no such place.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut has_name = false;
    word.split_inclusive(move |c: char| {
        let ends = has_name && matches!(c, '-' | '/');
        has_name = !ends && (has_name || c.is_alphanumeric());
        ends
    })
}

/// Splits `text` after at most `most` columns, but after one character at least.
fn split(text: &str, most: usize) -> (&str, &str) {
    let ends = text.char_indices().map(|(start, c)| start + c.len_utf8());
    let fits = |end: &usize| text.get(..*end).is_some_and(|first| width(first) <= most);
    let first = text.chars().next().map_or(0, char::len_utf8);
    text.split_at(ends.take_while(fits).last().unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_word_is_broken_after_a_hyphen() {
        assert_eq!(folded("runner-coordinator", 14), ["runner-", "coordinator"]);
        assert_eq!(folded("add --no-cache", 9), ["add --no-", "cache"]);
        assert_eq!(folded("0123456789", 4), ["0123", "4567", "89"]);
        assert_eq!(folded("", 4), [""]);
    }

    #[test]
    fn wide_and_combining_characters_count_as_columns() {
        assert_eq!(width("イメージ"), 8);
        assert_eq!(width("e\u{301}"), 1);
        assert_eq!(folded("イメージ", 5), ["イメ", "ージ"]);
        assert_eq!(folded("e\u{301}e\u{301}e\u{301}", 2), ["e\u{301}e\u{301}", "e\u{301}"]);
        assert_eq!(folded("イ", 1), ["イ"]);
        assert_eq!(shortened("イメージ", 6), "イメ…");
        assert_eq!(shortened("イメージ", 8), "イメージ");
    }
}
