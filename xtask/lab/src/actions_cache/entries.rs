//! The entries of the cache: their scopes, how a key is matched, and the index on disk. `blobs` has their
//! bytes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::state;
use crate::sync::lock;

/// One entry, reserved or finalised.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Entry {
    pub id: u64,
    pub scope: String,
    pub key: String,
    pub version: String,
    /// Seconds since 1970.
    pub created: u64,
    /// The signatures in its URLs, which reading and writing require.
    pub upload_signature: String,
    pub download_signature: String,
    /// The size in bytes and the place in the order of finalisation; none while only reserved.
    pub finalized: Option<Finalized>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Finalized {
    pub size: u64,
    pub order: u64,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Index {
    entries: Vec<Entry>,
    /// Numbers ids and finalisations alike.
    last: u64,
}

/// The entries, kept in one file.
#[derive(Debug)]
pub struct Entries {
    path: PathBuf,
    index: Mutex<Index>,
}

impl Entries {
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("entries.json");
        let index = Mutex::new(state::read_json(&path)?);
        Ok(Self { path, index })
    }

    /// Looks for an entry in the scopes, one after another: the exact key first, then each prefix in turn. If several
    /// entries have the same prefix, the one finalised last wins.
    pub fn look_up<'s>(
        &self,
        scopes: impl Iterator<Item = &'s str>,
        key: &str,
        prefixes: &[String],
        version: &str,
    ) -> Option<Entry> {
        let index = lock(&self.index);
        let newest = |scope: &str, fits: &dyn Fn(&str) -> bool| {
            index
                .entries
                .iter()
                .filter(|entry| {
                    entry.scope == scope && entry.version == version && fits(&entry.key)
                })
                .filter_map(|entry| entry.finalized.map(|finalized| (finalized.order, entry)))
                .max_by_key(|(order, _)| *order)
                .map(|(_, entry)| entry.clone())
        };
        for scope in scopes {
            let exact = newest(scope, &|candidate| candidate == key);
            let found = exact.or_else(|| {
                let mut prefixes = std::iter::once(key).chain(prefixes.iter().map(String::as_str));
                prefixes
                    .find_map(|prefix| newest(scope, &|candidate| candidate.starts_with(prefix)))
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Reserves a key; none if the scope already has it, finalised or not.
    pub fn reserve(&self, scope: &str, key: &str, version: &str) -> io::Result<Option<Entry>> {
        let mut index = lock(&self.index);
        if index.find(scope, key, version).is_some() {
            return Ok(None);
        }
        index.last += 1;
        let entry = Entry {
            id: index.last,
            scope: scope.to_owned(),
            key: key.to_owned(),
            version: version.to_owned(),
            created: clock::seconds(),
            upload_signature: state::random_text()?,
            download_signature: state::random_text()?,
            finalized: None,
        };
        index.entries.push(entry.clone());
        state::write_json(&self.path, &*index)?;
        Ok(Some(entry))
    }

    /// The entry of this scope and key, reserved or finalised.
    pub fn find(&self, scope: &str, key: &str, version: &str) -> Option<Entry> {
        let mut index = lock(&self.index);
        index.find(scope, key, version).cloned()
    }

    /// Makes a reserved entry visible.
    pub fn finalize(&self, id: u64, size: u64) -> io::Result<()> {
        let mut index = lock(&self.index);
        index.last += 1;
        let order = index.last;
        if let Some(entry) = index.entries.iter_mut().find(|entry| entry.id == id) {
            entry.finalized = Some(Finalized { size, order });
        }
        state::write_json(&self.path, &*index)
    }

    pub fn by_id(&self, id: u64) -> Option<Entry> {
        lock(&self.index).entries.iter().find(|entry| entry.id == id).cloned()
    }

    pub fn all(&self) -> Vec<Entry> {
        lock(&self.index).entries.clone()
    }

    /// Deletes every entry and returns them.
    pub fn clear(&self) -> io::Result<Vec<Entry>> {
        let mut index = lock(&self.index);
        let gone = std::mem::take(&mut index.entries);
        state::write_json(&self.path, &*index)?;
        Ok(gone)
    }
}

impl Index {
    fn find(&mut self, scope: &str, key: &str, version: &str) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.scope == scope && entry.key == key && entry.version == version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        entries: Entries,
        _directory: tempfile::TempDir,
    }

    fn world(finalized: &[(&str, &str)]) -> World {
        let directory = tempfile::tempdir().unwrap();
        let entries = Entries::open(directory.path()).unwrap();
        for (scope, key) in finalized {
            let entry = entries.reserve(scope, key, "v").unwrap().unwrap();
            entries.finalize(entry.id, 1).unwrap();
        }
        World { entries, _directory: directory }
    }

    fn check(world: &World, scopes: &[&str], key: &str, prefixes: &[&str], expected: Option<&str>) {
        let prefixes: Vec<_> = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
        let found = world.entries.look_up(scopes.iter().copied(), key, &prefixes, "v");
        assert_eq!(found.map(|entry| entry.key).as_deref(), expected);
    }

    #[test]
    fn a_prefix_finds_the_entry_finalised_last() {
        let world = world(&[("main", "index#9"), ("main", "index#10")]);
        check(&world, &["main"], "index#", &["index#"], Some("index#10"));
        check(&world, &["main"], "index#9", &["index#"], Some("index#9"));
    }

    #[test]
    fn the_first_scope_with_an_entry_wins() {
        let world = world(&[("main", "a"), ("dev", "ab")]);
        check(&world, &["pr"], "a", &[], None);
        check(&world, &["pr", "main"], "a", &[], Some("a"));
        check(&world, &["dev", "main"], "a", &[], Some("ab"));
    }

    #[test]
    fn prefixes_are_tried_in_their_order() {
        let world = world(&[("main", "one-1"), ("main", "two-1")]);
        check(&world, &["main"], "absent", &["two", "one"], Some("two-1"));
    }

    #[test]
    fn a_reserved_entry_is_not_visible() {
        let world = world(&[]);
        assert!(world.entries.reserve("main", "a", "v").unwrap().is_some());
        assert!(world.entries.reserve("main", "a", "v").unwrap().is_none());
        assert!(world.entries.reserve("dev", "a", "v").unwrap().is_some());
        check(&world, &["main"], "a", &[], None);
    }
}
