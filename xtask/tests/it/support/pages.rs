//! The pages of this repository.

use std::path::{Path, PathBuf};

use xtask::outside::files;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file, by its path from the root.
pub fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The README and the pages below docs/, by name.
pub fn pages() -> Vec<(String, String)> {
    let mut paths = files::below(&root().join("docs")).unwrap();
    paths.push(root().join("README.md"));
    let page = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(page).collect()
}

/// The texts between backquotes.
pub fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}
