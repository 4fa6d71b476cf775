//! Files: errors name the path, and a file is written completely or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The text of `path`.
pub fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// The same; `None` if the file does not exist.
pub fn read_if_there(path: &Path) -> Result<Option<String>> {
    if path.is_file() { read(path).map(Some) } else { Ok(None) }
}

/// The files at and below `folder`, in order; none where there is no folder.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop().filter(|folder| folder.is_dir()) {
        let list = || -> std::io::Result<Vec<PathBuf>> {
            std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect()
        };
        let paths = list().with_context(|| format!("cannot list `{}`", folder.display()))?;
        let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
        found.extend(files);
        open.extend(folders);
    }
    found.sort();
    Ok(found)
}

/// Writes `contents` beside `path` and renames it into place: a reader sees the old file or the new one,
/// never a part.
pub fn write_atomically(path: &Path, contents: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(contents)?;
        file.as_file().sync_data()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}
