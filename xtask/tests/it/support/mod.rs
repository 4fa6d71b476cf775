//! A separate repository for one test, and the real `xtask` run in it.

pub mod adopting;
pub mod docker;
pub mod events;
pub mod images;
pub mod inventories;
pub mod jobs;
pub mod lab;
pub mod lab_jobs;
pub mod labs;
pub mod links;
pub mod locked;
pub mod package;
pub mod pages;
pub mod processes;
pub mod project;
pub mod pushing;
pub mod scripted_registry;
pub mod verified;
pub mod workflows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A git repository with a configuration and services; dropping it deletes the folder.
pub struct Fixture {
    /// Contains the repository, and files that a test keeps beside it.
    _folder: tempfile::TempDir,
    root: PathBuf,
    /// `OWNER/REPO`, the prefix of its images.
    pub repository: String,
}

impl Fixture {
    /// A repository `fixture/repo` without services.
    pub fn new() -> Self {
        Self::named("fixture/repo")
    }

    /// A repository whose images no other test or run has published.
    pub fn unpublished() -> Self {
        let nanoseconds = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        Self::named(&format!("fixture/r{nanoseconds}"))
    }

    /// A repository whose images are below `OWNER/REPO`.
    pub fn named(repository: &str) -> Self {
        let repository = repository.to_owned();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repository");
        let fixture = Self { _folder: folder, root, repository };
        fixture.configure("");
        fixture.git(&["init", "--quiet", "--initial-branch=dev"]);
        fixture.git(&["config", "user.name", "A Tester"]);
        fixture.git(&["config", "user.email", "tester@example.com"]);
        fixture
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Sets the content of `[workspace.metadata.images]`.
    pub fn configure(&self, images: &str) {
        let repository = &self.repository;
        let text = format!(
            "[workspace]\nmembers = []\n\n[workspace.metadata.images]\n\
             repository = \"{repository}\"\n\
             # Nothing listens there, so that a look at a cache tier ends at once.\n\
             registry = \"127.0.0.1:9\"\n{images}"
        );
        self.write("Cargo.toml", &text);
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Adds `services/NAME/Dockerfile`.
    pub fn service(&self, name: &str, dockerfile: &str) {
        self.write(&format!("services/{name}/Dockerfile"), dockerfile);
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_at(0, arguments)
    }

    /// The same, some seconds after 2026-01-02T03:04:05Z.
    fn git_at(&self, seconds: usize, arguments: &[&str]) -> String {
        let date = format!("{} +0000", 1_767_323_045 + seconds);
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.root())
            .env("GIT_COMMITTER_DATE", &date)
            .env("GIT_AUTHOR_DATE", &date)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    /// Commits everything, a second after the previous commit; returns the full hash.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        let before = self.git(&["rev-list", "--all"]).lines().count();
        self.git_at(before, &["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// The real `xtask` in this repository, with a cleared environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).current_dir(self.root()).env_clear();
        for name in ["PATH", "HOME", "DOCKER_HOST", "RUSTUP_HOME", "CARGO_HOME", "SSL_CERT_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("CARGO_MANIFEST_DIR", self.root().join("xtask"));
        // Tests without the lab must not see the lab's build records.
        let in_lab = arguments.iter().any(|argument| matches!(*argument, "lab" | "--lab"));
        let held = in_lab.then(labs::held).flatten();
        let own = || self.root().join(".git").join("target");
        command.env("CARGO_TARGET_DIR", held.map_or_else(own, |lab| lab.target.clone()));
        command
    }

    /// Runs it to the end.
    pub fn xtask(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }
}

/// The workspace's target folder.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned()
}

/// The output and exit code of a run.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| unreachable!("{error} in {:?}\n{}", self.stdout, self.stderr))
    }

    /// The same run, which must have ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
