//! Request targets: path, query parameters and percent-encoding (RFC 3986).

/// The path of a target, still encoded, with repeated leading slashes folded: a base URL that ends in a slash and a
/// path that begins with one still name the same resource.
pub fn path(target: &str) -> &str {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    let rest = path.trim_start_matches('/');
    let slash = usize::from(path.starts_with('/'));
    path.get(path.len() - rest.len() - slash..).unwrap_or(path)
}

/// The segments of the path, each decoded separately: `%2F` stays inside its segment.
pub fn segments(target: &str) -> Vec<String> {
    path(target).split('/').filter(|segment| !segment.is_empty()).map(decode).collect()
}

/// The first value of a query parameter, decoded.
pub fn parameter(target: &str, name: &str) -> Option<String> {
    parameters(target).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// All query parameters in order, decoded.
pub fn parameters(target: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
    })
}

/// Decodes percent-encoding; an invalid escape stays unchanged.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let escape = if first == b'%' { after.split_at_checked(2) } else { None };
        let value = escape.and_then(|(digits, tail)| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok().map(|value| (value, tail))
        });
        if let Some((value, tail)) = value {
            bytes.push(value);
            rest = tail;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Percent-encodes everything except the unreserved characters.
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_slash_stays_in_its_segment() {
        assert_eq!(
            segments("/users/tzervas/packages/container/autogit%2Fgit-server/versions?page=2")
                .len(),
            6
        );
        assert_eq!(segments("/packages/autogit%2Fgit-server"), ["packages", "autogit/git-server"]);
    }

    #[test]
    fn repeated_leading_slashes_name_the_same_path() {
        assert_eq!(
            (path("//twirp/a?b"), path("/twirp/a"), path("/"), path("")),
            ("/twirp/a", "/twirp/a", "/", "")
        );
    }

    #[test]
    fn parameters_are_decoded_and_keep_their_order() {
        let scopes: Vec<_> = parameters("/token?scope=repository%3Aa%3Apull&scope=b+c&x").collect();
        assert_eq!(scopes[0], ("scope".into(), "repository:a:pull".into()));
        assert_eq!(scopes[1].1, "b c");
        assert_eq!(parameter("/token?x", "x").as_deref(), Some(""));
    }

    #[test]
    fn encoding_and_decoding_agree() {
        let text = "autogit/git-server:v1 100%";
        assert_eq!(decode(&encode(text)), text);
        assert_eq!(decode("100%zz%4"), "100%zz%4");
    }
}
