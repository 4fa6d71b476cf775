//! The git repository behind a repository of the stand-in: a bare one on disk, to which people push as they do to
//! GitHub. References are git's own; nothing is kept twice.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// One bare repository.
#[derive(Clone, Debug)]
pub struct Git {
    pub directory: PathBuf,
}

impl Git {
    /// Creates the repository where there is none.
    pub fn init(&self, default_branch: &str) -> io::Result<()> {
        if self.directory.join("HEAD").exists() {
            return Ok(());
        }
        let branch = format!("--initial-branch={default_branch}");
        let directory = self.directory.display().to_string();
        run(Command::new("git").args(["init", "--quiet", "--bare", &branch, &directory]))
            .and_then(|output| output.ok_or_else(|| io::Error::other("`git init` failed")))
            .map(drop)
    }

    /// The hash of what a revision names; none when there is no such object.
    pub fn resolve(&self, revision: &str) -> io::Result<Option<String>> {
        self.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", revision])
    }

    /// The commit time of what a revision names, in seconds since 1970.
    pub fn commit_time(&self, revision: &str) -> io::Result<Option<u64>> {
        let commit = format!("{revision}^{{commit}}");
        let shown =
            self.git(&["show", "--no-patch", "--format=%ct", "--end-of-options", &commit])?;
        Ok(shown.and_then(|seconds| seconds.parse().ok()))
    }

    /// Creates a reference that does not exist.
    pub fn create(&self, reference: &str, sha: &str) -> io::Result<()> {
        let none = "0".repeat(40);
        self.git(&["update-ref", reference, sha, &none]).map(drop)
    }

    /// Runs git here; its output, or none when it fails.
    fn git(&self, arguments: &[&str]) -> io::Result<Option<String>> {
        run(Command::new("git").arg("--git-dir").arg(&self.directory).args(arguments))
    }
}

/// Whether git takes this as the full name of a reference.
pub fn is_valid(reference: &str) -> io::Result<bool> {
    run(Command::new("git").args(["check-ref-format", reference])).map(|output| output.is_some())
}

fn run(command: &mut Command) -> io::Result<Option<String>> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    Ok(output.status.success().then_some(text))
}
