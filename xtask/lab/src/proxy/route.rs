//! Reads the subject of a request to a registry from its path (OCI distribution specification, endpoints).

use crate::http::target;

/// The kinds of requests in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Manifest,
    Blob,
    Upload,
    /// The token endpoint of the authentication.
    Token,
    Other,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Upload => "upload",
            Self::Token => "token",
            Self::Other => "other",
        }
    }
}

/// A parsed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub kind: Kind,
    /// `owner/name`; empty if the path contains no repository.
    pub repository: String,
    /// The rest of the path: a tag or digest, the digest of a blob, the id of an upload.
    pub reference: String,
}

impl Route {
    pub fn of(request_target: &str) -> Self {
        let path = target::path(request_target);
        if path == "/token" {
            return Self { kind: Kind::Token, repository: String::new(), reference: String::new() };
        }
        let parts = path.strip_prefix("/v2/").unwrap_or_default();
        // The last match counts: a repository's name may contain `manifests` and `blobs` too.
        let split = [
            ("/blobs/uploads/", Kind::Upload),
            ("/manifests/", Kind::Manifest),
            ("/blobs/", Kind::Blob),
        ]
        .into_iter()
        .chain([("/tags/", Kind::Other), ("/referrers/", Kind::Other)])
        .filter_map(|(word, kind)| parts.rfind(word).map(|at| (at, word, kind)))
        .max_by_key(|(at, word, _)| (*at, word.len()));
        let (kind, repository, reference) =
            split.map_or((Kind::Other, "", ""), |(at, word, kind)| {
                let (repository, rest) = parts.split_at(at);
                (kind, repository, rest.get(word.len()..).unwrap_or_default())
            });
        Self { kind, repository: target::decode(repository), reference: target::decode(reference) }
    }

    /// The reference when it is a tag.
    pub fn tag(&self) -> Option<&str> {
        (!self.reference.contains(':')).then_some(self.reference.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_kind() {
        for (path, kind, repository, reference) in [
            ("/v2/", Kind::Other, "", ""),
            ("/v2/o/r/s/manifests/dev", Kind::Manifest, "o/r/s", "dev"),
            ("/v2/o/r/s/manifests/sha256:ab", Kind::Manifest, "o/r/s", "sha256:ab"),
            ("/v2/o/r/s/blobs/sha256:ab?ns=x", Kind::Blob, "o/r/s", "sha256:ab"),
            ("/v2/o/r/s/blobs/uploads/?mount=sha256:ab&from=o/x", Kind::Upload, "o/r/s", ""),
            ("/v2/o/r/s/blobs/uploads/1-2?_state=x", Kind::Upload, "o/r/s", "1-2"),
            ("/v2/o/blobs/manifests/dev", Kind::Manifest, "o/blobs", "dev"),
            ("/v2/o/r/tags/list?n=100", Kind::Other, "o/r", "list"),
            ("/token?scope=a", Kind::Token, "", ""),
            ("/elsewhere", Kind::Other, "", ""),
        ] {
            let expected =
                Route { kind, repository: repository.into(), reference: reference.into() };
            assert_eq!(Route::of(path), expected, "{path}");
        }
    }
}
