//! Filter patterns of branches and tags.
//!
//! Source: "Workflow syntax for GitHub Actions", filter pattern cheat sheet.

/// Whether a name is like a filter pattern: `*` is anything but `/`, `**` anything.
pub(super) fn is_like(pattern: &str, name: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("**") {
        return ends_of(name).any(|end| is_like(rest, end));
    }
    if let Some(rest) = pattern.strip_prefix('*') {
        let within = name.find('/').unwrap_or(name.len());
        return ends_of(name)
            .take_while(|end| name.len() - end.len() <= within)
            .any(|end| is_like(rest, end));
    }
    match (pattern.chars().next(), name.chars().next()) {
        (None, None) => true,
        (Some(expected), Some(found)) if expected == found => {
            let after = |text: &str| text.get(found.len_utf8()..).unwrap_or_default().to_owned();
            is_like(&after(pattern), &after(name))
        }
        _ => false,
    }
}

/// The text, then ever shorter ends of it, the last being empty.
fn ends_of(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    starts.filter_map(|at| text.get(at..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_a_part_of_a_name_and_two_do_not() {
        for (pattern, name, expected) in [
            ("dev", "dev", true),
            ("dev", "develop", false),
            ("feature/**", "feature/a/b", true),
            ("feature/*", "feature/a/b", false),
            ("feature/*", "feature/a", true),
            ("v*.*.*", "v1.2.3", true),
            ("v*.*.*", "v1.2", false),
            ("**", "a/b", true),
            ("*", "", true),
        ] {
            assert_eq!(is_like(pattern, name), expected, "{pattern} {name}");
        }
    }
}
