//! The git repository behind a repository of the stand-in: a bare one on disk, to which people push as they do to
//! GitHub. References are git's own; nothing is kept twice.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A reference or a revision, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// `commit` or `tag`, as git names it.
    pub kind: String,
    pub sha: String,
}

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

    /// What a revision names; none when there is no such object.
    pub fn resolve(&self, revision: &str) -> io::Result<Option<Object>> {
        let named =
            self.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", revision])?;
        let Some(sha) = named else { return Ok(None) };
        Ok(self.git(&["cat-file", "-t", &sha])?.map(|kind| Object { kind, sha }))
    }

    /// The commit time of what a revision names, in seconds since 1970.
    pub fn commit_time(&self, revision: &str) -> io::Result<Option<u64>> {
        let commit = format!("{revision}^{{commit}}");
        let shown =
            self.git(&["show", "--no-patch", "--format=%ct", "--end-of-options", &commit])?;
        Ok(shown.and_then(|seconds| seconds.parse().ok()))
    }

    /// Creates a reference; false when it exists already.
    pub fn create(&self, reference: &str, sha: &str) -> io::Result<bool> {
        let none = "0".repeat(40);
        self.git(&["update-ref", reference, sha, &none]).map(|done| done.is_some())
    }

    pub fn delete(&self, reference: &str) -> io::Result<()> {
        self.git(&["update-ref", "-d", reference]).map(drop)
    }

    /// The references that begin with `prefix`, sorted by name.
    pub fn matching(&self, prefix: &str) -> io::Result<Vec<(String, Object)>> {
        let listed =
            self.git(&["for-each-ref", "--format=%(objecttype) %(objectname) %(refname)"])?;
        let parse = |line: &str| {
            let (kind, rest) = line.split_once(' ')?;
            let (sha, name) = rest.split_once(' ')?;
            Some((name.to_owned(), Object { kind: kind.to_owned(), sha: sha.to_owned() }))
        };
        Ok(listed
            .unwrap_or_default()
            .lines()
            .filter_map(parse)
            .filter(|(name, _)| name.starts_with(prefix))
            .collect())
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
