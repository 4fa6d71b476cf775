//! The ledger: every manifest ever pushed through the registry front, as the package versions that GHCR would show.
//!
//! A distribution registry cannot list untagged manifests, so the front records every push and deletion. The
//! journal on disk has a line of JSON for each event; replaying it gives the state. The bytes of each
//! manifest are beside it, to restore deleted versions. The registry's own storage is never read.

pub mod packages;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, Result};

use crate::state;
use crate::sync::lock;
use packages::{Event, Package};

/// The packages of all owners, by repository (`owner/name`; the name may contain slashes).
pub struct Ledger {
    contents: Mutex<Contents>,
    manifests: PathBuf,
}

struct Contents {
    packages: BTreeMap<String, Package>,
    journal: File,
    next_id: u64,
}

/// Version ids have 64 bits on GitHub. The stand-in's need more than 32, which reveals a client with too
/// small a type.
const FIRST_ID: u64 = 5_000_000_001;

impl Ledger {
    pub fn open(directory: &Path) -> Result<Self> {
        let manifests = directory.join("manifests");
        fs::create_dir_all(&manifests)
            .with_context(|| format!("could not create `{}`", manifests.display()))?;
        let path = directory.join("packages.jsonl");
        let contents = Contents::open(&path)
            .with_context(|| format!("could not open `{}`", path.display()))?;
        Ok(Self { contents: Mutex::new(contents), manifests })
    }

    /// Enters events: on disk first, then in memory.
    pub fn enter(&self, events: impl IntoIterator<Item = Event>) -> io::Result<()> {
        let mut contents = lock(&self.contents);
        let mut lines = Vec::new();
        let events: Vec<_> = events.into_iter().collect();
        for event in &events {
            serde_json::to_writer(&mut lines, event)?;
            lines.push(b'\n');
        }
        contents.journal.write_all(&lines)?;
        for event in events {
            contents.apply(event);
        }
        Ok(())
    }

    /// Reads the packages under a lock.
    pub fn read<T>(&self, look: impl FnOnce(&BTreeMap<String, Package>) -> T) -> T {
        look(&lock(&self.contents).packages)
    }

    /// Stores the bytes of a manifest.
    pub fn keep_manifest(&self, digest: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.manifest_path(digest);
        if path.exists() { Ok(()) } else { state::write(&path, bytes) }
    }

    /// The bytes of a manifest that the front has seen.
    pub fn manifest(&self, digest: &str) -> io::Result<Vec<u8>> {
        fs::read(self.manifest_path(digest))
    }

    fn manifest_path(&self, digest: &str) -> PathBuf {
        self.manifests.join(digest.replace([':', '/'], "-"))
    }
}

impl Contents {
    /// Replays the journal. Drops a last line that a kill cut short.
    fn open(path: &Path) -> Result<Self> {
        let mut journal = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let text = io::read_to_string(&journal)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        journal.set_len(whole as u64)?;
        journal.seek(SeekFrom::End(0))?;
        let mut contents = Self { packages: BTreeMap::new(), journal, next_id: FIRST_ID };
        for line in text.get(..whole).unwrap_or_default().lines() {
            contents.apply(
                serde_json::from_str(line).with_context(|| format!("invalid event: `{line}`"))?,
            );
        }
        Ok(contents)
    }

    fn apply(&mut self, event: Event) {
        let package = self.packages.entry(event.repository.clone()).or_default();
        package.apply(event, self.next_id);
        self.next_id = self.next_id.max(package.greatest_id() + 1);
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ledger").field("manifests", &self.manifests).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::packages::What;
    use super::*;

    fn pushed(tag: &str, digest: &str, at: u64) -> Event {
        let what = What::Pushed {
            digest: digest.into(),
            tag: Some(tag.into()),
            media_type: String::new(),
        };
        Event { repository: "o/r/s".into(), at, what }
    }

    #[test]
    fn a_restart_drops_a_journal_line_cut_short() {
        let directory = tempfile::tempdir().unwrap();
        let seen = |ledger: &Ledger| {
            ledger.read(|packages| {
                packages["o/r/s"].listed().map(|version| version.id).collect::<Vec<_>>()
            })
        };
        let ledger = Ledger::open(directory.path()).unwrap();
        ledger.enter([pushed("dev", "sha256:a", 1), pushed("dev", "sha256:b", 2)]).unwrap();
        let before = seen(&ledger);
        drop(ledger);
        let journal = directory.path().join("packages.jsonl");
        OpenOptions::new().append(true).open(&journal).unwrap().write_all(b"{\"repos").unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        assert_eq!(seen(&ledger), before);
        ledger.enter([pushed("dev", "sha256:c", 3)]).unwrap();
        assert_eq!(
            seen(&Ledger::open(directory.path()).unwrap()),
            [FIRST_ID + 2, FIRST_ID + 1, FIRST_ID]
        );
    }

    #[test]
    fn a_manifest_is_kept_under_its_digest() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(directory.path()).unwrap();
        ledger.keep_manifest("sha256:a", b"{}").unwrap();
        assert_eq!(ledger.manifest("sha256:a").unwrap(), b"{}");
        assert!(ledger.manifest("sha256:b").is_err());
    }
}
