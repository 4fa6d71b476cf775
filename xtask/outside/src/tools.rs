//! External programs that may be missing. `cargo xtask test` installs them below `target/tools`.

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

/// The path of a program: on the PATH, or where Debian keeps programs of root.
pub fn find(program: &str) -> Option<PathBuf> {
    which::which(program).ok().or_else(|| {
        let folders = ["/usr/sbin", "/sbin", "/usr/local/sbin"];
        folders.iter().map(|folder| PathBuf::from(folder).join(program)).find(|path| path.is_file())
    })
}
