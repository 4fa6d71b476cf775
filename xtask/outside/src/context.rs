//! Build contexts: the ignore file, and which paths of a kind there are. What may be in a context is
//! for rules to say.

use std::fs;
use std::path::Path;

use xtask_model::ignore_file::BuildContext;

/// Reads the context `folder`. Of its paths only those that are `wanted` are kept; such a folder is
/// not entered, and neither is one behind a link. What cannot be listed is taken for empty: the build
/// itself says so.
pub fn read(folder: &Path, wanted: fn(&str) -> bool) -> BuildContext {
    let names = ["Dockerfile.dockerignore", ".dockerignore"];
    let ignore_file = names.iter().find_map(|name| fs::read_to_string(folder.join(name)).ok());
    let mut paths = Vec::new();
    let mut open = vec![String::new()];
    while let Some(inner) = open.pop() {
        for entry in fs::read_dir(folder.join(&inner)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if inner.is_empty() { name } else { format!("{inner}/{name}") };
            if wanted(&path) {
                paths.push(path);
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            }
        }
    }
    paths.sort();
    BuildContext { ignore_file, paths }
}
