//! Packages and their versions, and how events change them. Pure: no file, no clock.
//!
//! A version is a manifest digest. Its times are those of the digest's first push. A tag that moves changes
//! no times: the old version stays without a tag.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Something that happened to one version of a package.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Event {
    pub repository: String,
    /// Seconds since 1970.
    pub at: u64,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    Pushed {
        digest: String,
        tag: Option<String>,
        media_type: String,
    },
    /// A version without a push: only the ledger has its manifest, and its blobs do not exist.
    MadeUp {
        digest: String,
        tags: Vec<String>,
        media_type: String,
    },
    Deleted {
        digest: String,
    },
    /// With the tags that are not used by another version.
    Restored {
        id: u64,
        tags: Vec<String>,
    },
    /// Its time of the push changes.
    Amended {
        digest: String,
        created: u64,
    },
}

/// One version of a package.
#[derive(Clone, Debug)]
pub struct Version {
    pub id: u64,
    pub digest: String,
    pub media_type: String,
    /// Whether the registry does not have it.
    pub made_up: bool,
    /// Seconds since 1970: when the digest was first registered.
    pub created: u64,
    pub tags: BTreeSet<String>,
    pub deleted: Option<Deletion>,
}

/// When a version was deleted, in seconds since 1970, and its tags at that time.
#[derive(Clone, Debug)]
pub struct Deletion {
    pub at: u64,
    pub tags: BTreeSet<String>,
}

/// One package: its versions by id, the current version of each digest, and where each tag points.
#[derive(Debug, Default)]
pub struct Package {
    versions: BTreeMap<u64, Version>,
    digests: BTreeMap<String, u64>,
    tags: BTreeMap<String, u64>,
}

impl Package {
    /// The versions that exist, newest first.
    pub fn listed(&self) -> impl Iterator<Item = &Version> {
        self.sorted(|version| version.deleted.is_none())
    }

    /// The deleted versions, newest first.
    pub fn deleted(&self) -> impl Iterator<Item = &Version> {
        self.sorted(|version| version.deleted.is_some())
    }

    fn sorted(&self, wanted: impl Fn(&Version) -> bool) -> impl Iterator<Item = &Version> {
        let mut versions: Vec<_> =
            self.versions.values().filter(|version| wanted(version)).collect();
        versions.sort_by_key(|version| std::cmp::Reverse((version.created, version.id)));
        versions.into_iter()
    }

    /// A version by its id, deleted or not.
    pub fn version(&self, id: u64) -> Option<&Version> {
        self.versions.get(&id)
    }

    /// Whether some version has this tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.contains_key(tag)
    }

    /// The version without a push that a tag or a digest names.
    pub fn made_up(&self, reference: &str) -> Option<&Version> {
        let id = self.digests.get(reference).or_else(|| self.tags.get(reference))?;
        self.versions.get(id).filter(|version| version.made_up)
    }

    /// How many versions have a tag.
    pub fn tagged(&self) -> usize {
        self.versions.values().filter(|version| !version.tags.is_empty()).count()
    }

    /// 0 when there is no version.
    pub fn greatest_id(&self) -> u64 {
        self.versions.last_key_value().map_or(0, |(id, _)| *id)
    }

    /// The current version of a digest, unless deleted.
    pub fn current(&self, digest: &str) -> Option<u64> {
        self.digests.get(digest).copied()
    }

    /// Applies an event; a new version gets `next_id`.
    pub fn apply(&mut self, event: Event, next_id: u64) {
        match event.what {
            What::Pushed { digest, tag, media_type } => {
                let id = self.register(digest, media_type, event.at, next_id);
                if let Some(tag) = tag {
                    self.point(tag, id);
                }
            }
            What::MadeUp { digest, tags, media_type } => {
                let id = self.register(digest, media_type, event.at, next_id);
                if let Some(version) = self.versions.get_mut(&id) {
                    version.made_up = true;
                }
                for tag in tags {
                    self.point(tag, id);
                }
            }
            What::Deleted { digest } => {
                let removed = self.digests.remove(&digest);
                let Some(version) = removed.and_then(|id| self.versions.get_mut(&id)) else {
                    return;
                };
                let tags = std::mem::take(&mut version.tags);
                self.tags.retain(|tag, _| !tags.contains(tag));
                version.deleted = Some(Deletion { at: event.at, tags });
            }
            What::Restored { id, tags } => {
                let Some(version) = self.versions.get_mut(&id) else { return };
                version.deleted = None;
                self.digests.insert(version.digest.clone(), id);
                for tag in tags {
                    self.point(tag, id);
                }
            }
            What::Amended { digest, created } => {
                let id = self.current(&digest);
                let Some(version) = id.and_then(|id| self.versions.get_mut(&id)) else { return };
                version.created = created;
            }
        }
    }

    /// The id of a digest's version; `next_id` for a new version.
    fn register(&mut self, digest: String, media_type: String, created: u64, next_id: u64) -> u64 {
        let id = *self.digests.entry(digest.clone()).or_insert(next_id);
        self.versions.entry(id).or_insert_with(|| Version {
            id,
            digest,
            media_type,
            made_up: false,
            created,
            tags: BTreeSet::new(),
            deleted: None,
        });
        id
    }

    /// Moves a tag to a version.
    fn point(&mut self, tag: String, id: u64) {
        if let Some(old) =
            self.tags.insert(tag.clone(), id).and_then(|old| self.versions.get_mut(&old))
        {
            old.tags.remove(&tag);
        }
        if let Some(version) = self.versions.get_mut(&id) {
            version.tags.insert(tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(package: &mut Package, at: u64, what: What) {
        let next_id = package.greatest_id() + 1;
        package.apply(Event { repository: String::new(), at, what }, next_id);
    }

    fn push(package: &mut Package, at: u64, digest: &str, tag: Option<&str>) {
        let what = What::Pushed {
            digest: digest.into(),
            tag: tag.map(str::to_owned),
            media_type: "application/json".into(),
        };
        apply(package, at, what);
    }

    #[test]
    fn moving_a_tag_leaves_an_untagged_version() {
        let mut package = Package::default();
        push(&mut package, 10, "sha256:a", Some("dev"));
        push(&mut package, 20, "sha256:b", Some("dev"));
        push(&mut package, 30, "sha256:a", Some("latest"));
        let seen = |package: &Package| {
            let shown = |v: &Version| format!("{} {} {:?}", v.id, v.created, v.tags);
            package.listed().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(seen(&package), [r#"2 20 {"dev"}"#, r#"1 10 {"latest"}"#]);
        push(&mut package, 40, "sha256:b", Some("latest"));
        assert_eq!(seen(&package), [r#"2 20 {"dev", "latest"}"#, "1 10 {}"]);
        assert_eq!(package.tagged(), 1);
    }

    #[test]
    fn a_restored_version_gets_its_free_tags_back() {
        let mut package = Package::default();
        push(&mut package, 10, "sha256:a", Some("one"));
        push(&mut package, 11, "sha256:a", Some("two"));
        apply(&mut package, 20, What::Deleted { digest: "sha256:a".into() });
        assert_eq!(package.version(1).unwrap().deleted.as_ref().unwrap().tags.len(), 2);
        assert_eq!((package.listed().count(), package.tagged()), (0, 0));
        apply(&mut package, 30, What::Restored { id: 1, tags: vec!["two".into()] });
        let version = package.version(1).unwrap();
        assert_eq!(
            (version.tags.iter().next().unwrap().as_str(), version.tags.len(), version.created),
            ("two", 1, 10)
        );
        assert!(package.has_tag("two") && !package.has_tag("one"));
    }

    #[test]
    fn a_deleted_digest_pushed_again_is_new() {
        let mut package = Package::default();
        push(&mut package, 10, "sha256:a", None);
        apply(&mut package, 20, What::Deleted { digest: "sha256:a".into() });
        push(&mut package, 30, "sha256:a", None);
        assert_eq!(package.listed().map(|v| (v.id, v.created)).collect::<Vec<_>>(), [(2, 30)]);
        assert_eq!(package.deleted().count(), 1);
    }
}
