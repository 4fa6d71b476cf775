//! Expands the variables of a Dockerfile as BuildKit does.

use std::collections::BTreeMap;

/// `text` with `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+instead}` replaced. An unknown variable
/// stays unchanged.
pub fn expand(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (variable, remaining) = variable(after);
        rest = remaining;
        let shown = after.get(..after.len() - remaining.len()).unwrap_or_default();
        let (name, modifier) = match variable.split_once(':') {
            Some((name, modifier)) => (name, Some(modifier)),
            None => (variable, None),
        };
        let value = values.get(name).filter(|value| !value.is_empty() || modifier.is_none());
        match (value, modifier.and_then(|modifier| modifier.split_at_checked(1))) {
            (Some(_), Some(("+", instead))) => expanded.push_str(&expand(instead, values)),
            (None, Some(("+", _))) => {}
            (Some(value), _) => expanded.push_str(value),
            (None, Some(("-", default))) => expanded.push_str(&expand(default, values)),
            (None, _) => {
                expanded.push('$');
                expanded.push_str(shown);
            }
        }
    }
    expanded + rest
}

/// The variable at the start of `after`, the text behind a `$`, and the text behind the variable.
fn variable(after: &str) -> (&str, &str) {
    if let Some(braced) = after.strip_prefix('{') {
        return braced.split_once('}').unwrap_or((braced, ""));
    }
    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    after.split_at(end.unwrap_or(after.len()))
}
