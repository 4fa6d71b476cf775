//! The bare git repository of a repository of the stand-in. Clients push to it as to GitHub, and git alone
//! keeps the references.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// One bare repository.
#[derive(Clone, Debug)]
pub struct Git {
    pub directory: PathBuf,
}

impl Git {
    /// Creates the repository if it does not exist.
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

    /// The hash of a revision; none if the object does not exist.
    pub fn resolve(&self, revision: &str) -> io::Result<Option<String>> {
        self.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", revision])
    }

    /// The commit time of a revision, in seconds since 1970.
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

    /// Runs git here and returns its output; none if it fails.
    fn git(&self, arguments: &[&str]) -> io::Result<Option<String>> {
        run(Command::new("git").arg("--git-dir").arg(&self.directory).args(arguments))
    }
}

/// Whether git accepts this as the full name of a reference.
pub fn is_valid(reference: &str) -> io::Result<bool> {
    run(Command::new("git").args(["check-ref-format", reference])).map(|output| output.is_some())
}

fn run(command: &mut Command) -> io::Result<Option<String>> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    Ok(output.status.success().then_some(text))
}
