//! The `Link` header of a list (RFC 8288): its next page, and how many there are.

/// The address of `rel="next"`.
pub fn next(link: &str) -> Option<&str> {
    related(link, "next")
}

/// How many items a list has, by the header that came with its first page of one item each.
pub fn count(link: Option<&str>, items: usize) -> Option<usize> {
    let Some(link) = link.filter(|link| related(link, "next").is_some()) else {
        return Some(items);
    };
    let (_, query) = related(link, "last")?.split_once('?')?;
    query.split('&').find_map(|parameter| parameter.strip_prefix("page=")?.parse().ok())
}

fn related<'l>(link: &'l str, relation: &str) -> Option<&'l str> {
    let wanted = format!("rel=\"{relation}\"");
    let found = link.split(',').find(|part| part.contains(&wanted))?;
    found.split_once('<')?.1.split_once('>').map(|(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_the_others() {
        let link = "<http://a/x?page=1>; rel=\"prev\", <http://a/x?page=3>; rel=\"next\"";
        assert_eq!(next(link), Some("http://a/x?page=3"));
        assert_eq!(next("<http://a/x?page=1>; rel=\"prev\""), None);
    }

    #[test]
    fn the_last_page_of_one_item_each_tells_how_many_there_are() {
        let link = "<http://a/x?per_page=1&page=2>; rel=\"next\", \
                    <http://a/x?per_page=1&page=137>; rel=\"last\"";
        assert_eq!(count(Some(link), 1), Some(137));
        assert_eq!(count(None, 1), Some(1));
        assert_eq!(count(None, 0), Some(0));
        // More than this page, and nobody says how many.
        assert_eq!(count(Some("<http://a/x?page=2>; rel=\"next\""), 1), None);
    }
}
