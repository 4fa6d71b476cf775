//! Records of builds and their logs, under `target/xtask/`. The newest [`KEPT`] of each service stay;
//! `model::record` defines their format.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use xtask_model::record::Record;
use xtask_model::service::ServiceName;

use super::files;

/// How many records of a service are kept.
const KEPT: usize = 50;

/// The folder of a service's records.
fn folder(target: &Path, service: &ServiceName) -> PathBuf {
    target.join("xtask").join("records").join(service.as_str())
}

/// The full log of one build of a service: all its attempts, and the export of its cache. The last
/// build's is kept.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    pub fn create(target: &Path, service: &ServiceName) -> Result<Self> {
        let path = target.join("xtask").join("logs").join(format!("{service}.log"));
        let open = || -> std::io::Result<File> {
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            File::create(&path)
        };
        let file = open().with_context(|| format!("cannot write the log `{}`", path.display()))?;
        Ok(Self { path, file })
    }

    /// Its path relative to `root`.
    pub fn shown(&self, root: &Path) -> String {
        self.path.strip_prefix(root).unwrap_or(&self.path).display().to_string()
    }

    pub fn write(&self, text: &str) {
        // A log that cannot be written must not end the build.
        let _ = (&self.file).write_all(text.as_bytes());
    }

    /// Begins the next part.
    pub fn heading(&self, title: &str) {
        self.write(&format!("\n==== {title}\n\n"));
    }
}

/// Saves a record under the time it began, and deletes the oldest ones beyond [`KEPT`].
pub fn save(target: &Path, service: &ServiceName, record: &Record) -> Result<PathBuf> {
    let folder = folder(target, service);
    let begun = record.started;
    // Two builds can begin in the same second.
    let path = folder.join(format!("{begun:012}-{}.json", std::process::id()));
    let mut text = serde_json::to_vec_pretty(record).context("cannot write the record")?;
    text.push(b'\n');
    files::write_atomically(&path, &text)?;
    for old in newest_first(&folder).iter().skip(KEPT) {
        // Another run may have deleted it first.
        let _ = std::fs::remove_file(old);
    }
    Ok(path)
}

/// The newest records of a service in the checkout at `root`, newest first. Records of other versions of
/// xtask and of other checkouts with the same target folder are skipped.
pub fn newest(target: &Path, root: &Path, service: &ServiceName, count: usize) -> Vec<Record> {
    let files = newest_first(&folder(target, service));
    let read = |path: &PathBuf| -> Option<Record> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    };
    let own = |record: &Record| Path::new(&record.root) == root;
    files.iter().filter_map(read).filter(own).take(count).collect()
}

/// The JSON files of a folder, the last names first.
pub fn newest_first(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort_unstable_by(|a, b| b.cmp(a));
    paths
}
