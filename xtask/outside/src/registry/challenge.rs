//! Parses the `WWW-Authenticate` header of a 401 (RFC 7235 and the distribution token specification).

use std::collections::BTreeMap;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token from `realm`.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// User and password.
    Basic,
}

impl Challenge {
    /// The challenge to answer, of all in the header lines: a token rather than a password.
    pub fn of<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Self> {
        let challenges: Vec<_> = lines.filter_map(Self::of_line).collect();
        let bearer = challenges.iter().find(|challenge| matches!(challenge, Self::Bearer { .. }));
        bearer.or(challenges.first()).cloned()
    }

    fn of_line(line: &str) -> Option<Self> {
        let (scheme, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        Some(Self::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scope: parameters.remove("scope"),
        })
    }
}

/// `name="value", other=value`; a comma inside quotes belongs to the value, as in `pull,push`.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut characters = text.chars().peekable();
    while characters.peek().is_some() {
        let name: String = characters.by_ref().take_while(|&c| c != '=').collect();
        let mut value = String::new();
        while characters.next_if_eq(&' ').is_some() {}
        if characters.next_if_eq(&'"').is_some() {
            while let Some(c) = characters.next() {
                match c {
                    '"' => break,
                    '\\' => value.extend(characters.next()),
                    c => value.push(c),
                }
            }
            // To the comma that ends this parameter.
            characters.by_ref().take_while(|&c| c != ',').for_each(drop);
        } else {
            value.extend(characters.by_ref().take_while(|&c| c != ','));
        }
        let name = name.trim_matches([' ', ',', '\t']).to_ascii_lowercase();
        found.entry(name).or_insert_with(|| value.trim().to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expected: Option<(&str, Option<&str>, Option<&str>)>) {
        let expected = expected.map(|(realm, service, scope)| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        });
        assert_eq!(Challenge::of(lines.iter().copied()), expected, "{lines:?}");
    }

    #[test]
    fn the_challenges_of_known_registries_are_read() {
        check(
            &[
                r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:o/r:pull,push""#,
            ],
            Some(("https://ghcr.io/token", Some("ghcr.io"), Some("repository:o/r:pull,push"))),
        );
        check(
            &[r#"bearer realm = "https://h/t" , error="insufficient_scope""#],
            Some(("https://h/t", None, None)),
        );
        check(
            &[r#"Bearer service="a\"b",realm=https://h/t"#],
            Some(("https://h/t", Some("a\"b"), None)),
        );
        assert_eq!(Challenge::of([r#"Basic realm="x""#].into_iter()), Some(Challenge::Basic));
    }

    #[test]
    fn a_bearer_challenge_is_preferred() {
        check(
            &["Basic realm=x", r#"Bearer realm="https://h/t""#],
            Some(("https://h/t", None, None)),
        );
        for nonsense in
            ["", "Bearer", "Bearer service=x", "Negotiate abc", "Bearer \"", "Bearer =,=,"]
        {
            check(&[nonsense], None);
        }
    }
}
