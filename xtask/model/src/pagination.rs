//! The `Link` header of a list in pages (RFC 8288).

/// The address with the relation `rel`, for instance `next`, of `<address>; rel="next", …`.
pub fn link<'h>(header: &'h str, rel: &str) -> Option<&'h str> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (address, after) = after.split_once('>')?;
        let parameters = unquoted(after, ',').next().unwrap_or_default();
        if unquoted(parameters, ';').any(|parameter| is_relation(parameter, rel)) {
            return Some(address);
        }
        rest = after.get(parameters.len()..)?;
    }
    None
}

/// The parts of `text` between separators that are outside of quotes.
fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut in_quotes = false;
    text.split(move |c| {
        in_quotes ^= c == '"';
        c == separator && !in_quotes
    })
}

/// Whether a parameter is `rel=next` or `rel="prev next"`.
fn is_relation(parameter: &str, rel: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
    name.trim().eq_ignore_ascii_case("rel") && relations.any(|name| name.eq_ignore_ascii_case(rel))
}

/// How many items a list has, by the header of its first page with one item each; `items` is how many
/// that page has. `None` where the header does not say.
pub fn count(header: Option<&str>, items: usize) -> Option<usize> {
    let Some(header) = header.filter(|header| link(header, "next").is_some()) else {
        return Some(items);
    };
    let (_, query) = link(header, "last")?.split_once('?')?;
    query.split('&').find_map(|parameter| parameter.strip_prefix("page=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_by_its_relation() {
        for (header, expected) in [
            (
                r#"<http://a/x?page=1>; rel="prev", <http://a/x?p=3>; rel="next""#,
                Some("http://a/x?p=3"),
            ),
            (
                r#"</v2/o/r/tags/list?last=b,c&n=2>; rel="next""#,
                Some("/v2/o/r/tags/list?last=b,c&n=2"),
            ),
            ("<http://a/3>;title=x; REL = next", Some("http://a/3")),
            (r#"<http://a/3>; rel="last next""#, Some("http://a/3")),
            (
                r#"<http://a/1>; rel=prev; title="a, <b>; rel=next", <http://a/3>; rel=next"#,
                Some("http://a/3"),
            ),
            (r#"<http://a/1>; rel="prev""#, None),
            (r#"<http://a/1>; title="next""#, None),
            ("", None),
            ("<http://a/1", None),
        ] {
            assert_eq!(link(header, "next"), expected, "{header}");
        }
    }

    #[test]
    fn one_item_for_each_page_counts_all() {
        let header = "<http://a/x?per_page=1&page=2>; rel=\"next\", \
                      <http://a/x?per_page=1&page=137>; rel=\"last\"";
        assert_eq!(count(Some(header), 1), Some(137));
        assert_eq!(count(None, 1), Some(1));
        assert_eq!(count(None, 0), Some(0));
        // More than this page, and no header says how many.
        assert_eq!(count(Some("<http://a/x?page=2>; rel=\"next\""), 1), None);
    }
}
