//! References to images, `registry/repository[:tag][@digest]`, and their parts. The grammar is that
//! of the OCI distribution specification (`name`, `reference`) and of `distribution/reference`
//! (domain, total length). It must not talk to any registry.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::{TextError, checked_text};

checked_text!(
    /// A registry's host, with its port where it has one: `ghcr.io`, `127.0.0.1:5000`, `[::1]:5000`.
    Registry,
    "registry host",
    registry_host
);

checked_text!(
    /// A repository inside a registry: `tzervas/autogit/git-server`. Lower case, at most 255 bytes.
    Repository,
    "repository name",
    repository_path
);

checked_text!(
    /// A tag: one letter, digit or underscore, then up to 127 of those, `.` and `-`.
    Tag,
    "tag",
    tag
);

checked_text!(
    /// A content digest: `sha256:` and 64 lower-case hexadecimal digits (or `sha512:` and 128).
    Digest,
    "digest",
    digest
);

impl Registry {
    /// The GitHub Container Registry.
    pub fn ghcr() -> Self {
        Self("ghcr.io".to_owned())
    }
}

impl Repository {
    /// The repository one level below this one.
    pub fn join(&self, component: &str) -> Result<Self, TextError> {
        Self::new(format!("{self}/{component}"))
    }
}

impl Tag {
    /// The floating tag of the dev channel.
    pub fn dev() -> Self {
        Self("dev".to_owned())
    }

    /// The floating tag of the highest stable version.
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// The tag of the registry cache, which is never an image.
    pub fn cache() -> Self {
        Self("cache".to_owned())
    }

    /// `dev-<sha>`, the exact tag of a commit on the dev channel.
    pub fn dev_commit(revision: &str) -> Result<Self, TextError> {
        Self::new(format!("dev-{revision}"))
    }

    /// The commit of `dev-<sha>`.
    pub fn commit(&self) -> Option<&str> {
        self.0.strip_prefix("dev-")
    }

    /// Whether this is the floating tag of the dev channel.
    pub fn is_dev(&self) -> bool {
        self.0 == "dev"
    }
}

impl Digest {
    /// The first twelve digits, as engines show it.
    pub fn short(&self) -> &str {
        let hex = self.as_str().split_once(':').map_or("", |(_, hex)| hex);
        hex.get(..12).unwrap_or(hex)
    }
}

/// An image in a registry, by repository alone or by tag, by digest, or by both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    pub registry: Registry,
    pub repository: Repository,
    pub tag: Option<Tag>,
    pub digest: Option<Digest>,
}

impl Reference {
    /// The repository itself, without tag or digest.
    pub fn new(registry: Registry, repository: Repository) -> Self {
        Self { registry, repository, tag: None, digest: None }
    }

    /// The same repository under `tag`.
    #[must_use]
    pub fn with_tag(&self, tag: Tag) -> Self {
        Self { tag: Some(tag), digest: None, ..self.clone() }
    }

    /// The same repository at `digest`, without a tag.
    #[must_use]
    pub fn at(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Reads a reference as the engine does: the default registry is Docker Hub, and the default owner
    /// there is `library`.
    pub fn normalized(text: &str) -> Result<Self, TextError> {
        let first = text.split('/').next().unwrap_or_default();
        let has_registry = text.contains('/')
            && (first.contains('.') || first.contains(':') || first == "localhost");
        if has_registry {
            text.parse()
        } else if text.contains('/') {
            format!("docker.io/{text}").parse()
        } else {
            format!("docker.io/library/{text}").parse()
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let wrong = |problem: &str| TextError {
            kind: "reference",
            text: text.to_owned(),
            problem: problem.to_owned(),
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(Digest::new(digest)?)),
            None => (text, None),
        };
        let (registry, rest) =
            name.split_once('/').ok_or_else(|| wrong("expected `registry/repository[:tag]`"))?;
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(Tag::new(tag)?)),
            None => (rest, None),
        };
        Ok(Self {
            registry: Registry::new(registry)?,
            repository: Repository::new(repository)?,
            tag,
            digest,
        })
    }
}

impl TryFrom<String> for Reference {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, TextError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

/// One component of a repository name: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
pub(super) fn path_component(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty; expected lower-case letters and digits".to_owned());
    }
    if let Some(upper) = text.chars().find(char::is_ascii_uppercase) {
        let lower = text.to_ascii_lowercase();
        return Err(format!("`{upper}` is upper case; did you mean `{lower}`?"));
    }
    if let Some(other) =
        text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-'))
    {
        let shown = other.escape_debug();
        return Err(format!(
            "`{shown}` is not allowed; expected lower-case letters, digits, `.`, `_` and `-`"
        ));
    }
    let mut separators = text.split(|c: char| c.is_ascii_alphanumeric()).filter(|s| !s.is_empty());
    let edges = text.starts_with(['.', '_', '-']) || text.ends_with(['.', '_', '-']);
    if edges {
        return Err("it must begin and end with a letter or a digit".to_owned());
    }
    match separators.find(|s| !matches!(*s, "." | "_" | "__") && s.chars().any(|c| c != '-')) {
        Some(run) => Err(format!("`{run}` is not one separator; use `.`, `_`, `__` or dashes")),
        None => Ok(()),
    }
}

fn repository_path(text: &str) -> Result<(), String> {
    if text.len() > 255 {
        return Err(format!("it has {} bytes, more than 255", text.len()));
    }
    text.split('/').try_for_each(path_component)
}

fn registry_host(text: &str) -> Result<(), String> {
    let (host, port) = if text.starts_with('[') {
        match text.rsplit_once("]:") {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if let Some(port) = port
        && !(port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse().is_ok_and(|number: u16| number > 0))
    {
        return Err(format!("`{port}` is not a port; expected a number up to 65535"));
    }
    if let Some(inside) = host.strip_prefix('[') {
        let address = inside.strip_suffix(']').unwrap_or(inside);
        return match address.parse::<std::net::Ipv6Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("`{address}` is not an IPv6 address")),
        };
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !host.split('.').all(label) {
        return Err("expected a lower-case host and an optional port, such as `ghcr.io`".to_owned());
    }
    // Docker reads such a word as an owner on Docker Hub.
    if !host.contains('.') && port.is_none() && host != "localhost" {
        return Err(format!(
            "a host has a dot or a port, or is `localhost`; write it in full, or `{host}:443`"
        ));
    }
    Ok(())
}

fn tag(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.len() > 128 {
        return Err(format!("it has {} characters, more than 128", text.len()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if let Some(other) = text.chars().find(|&c| !allowed(c)) {
        let shown = other.escape_debug();
        return Err(format!(
            "`{shown}` is not allowed; expected letters, digits, `_`, `.` and `-`"
        ));
    }
    if text.starts_with(['.', '-']) {
        return Err("it must begin with a letter, a digit or `_`".to_owned());
    }
    Ok(())
}

fn digest(text: &str) -> Result<(), String> {
    let length = match text.split_once(':') {
        Some(("sha256", _)) => 64,
        Some(("sha512", _)) => 128,
        _ => return Err("expected `sha256:` and 64 hexadecimal digits".to_owned()),
    };
    let hex = text.split_once(':').map_or("", |(_, hex)| hex);
    if hex.len() == length && hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
        Ok(())
    } else {
        Err(format!("expected {length} lower-case hexadecimal digits after the colon"))
    }
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
