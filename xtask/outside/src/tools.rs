//! Programs of other people that may be missing. `cargo xtask test` installs them below `target/tools`.

use std::path::{Path, PathBuf};

/// A program by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    pub program: &'static str,
}

pub const HADOLINT: Tool = Tool { program: "hadolint" };

pub const ZIZMOR: Tool = Tool { program: "zizmor" };

impl Tool {
    /// The program's path, where it is installed.
    pub fn found(&self, target: &Path) -> Option<PathBuf> {
        let installed = target.join("tools").join("bin").join(self.program);
        which::which(self.program).ok().or(installed.is_file().then_some(installed))
    }
}
