//! A repository with services, a scripted registry that has their images, and a stand-in for docker: enough to
//! run `push` and `release` without an engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use xtask::model::inputs::{Inputs, PLAN};
use xtask::model::platform::Platform;
use xtask::model::reference::{Digest, Reference, Tag};

use super::scripted_registry::{self, ScriptedRegistry};
use super::{Fixture, Ran, docker};

pub struct Project {
    pub fixture: Fixture,
    pub registry: ScriptedRegistry,
    /// Comes first on the PATH.
    programs: tempfile::TempDir,
}

impl Project {
    /// One commit with the service `web`; nothing is published.
    pub fn new() -> Self {
        Self::with_services(&["web"])
    }

    pub fn with_services(names: &[&str]) -> Self {
        let (fixture, registry) = (Fixture::named("o/r"), scripted_registry::start());
        let text = format!(
            "[workspace]\nmembers = []\n\n[workspace.metadata.images]\nrepository = \"o/r\"\n\
             registry = \"{}\"\nplatforms = [\"linux/amd64\"]\n",
            registry.address()
        );
        fixture.write("Cargo.toml", &text);
        for name in names {
            fixture.service(name, "FROM scratch\nCOPY Dockerfile /\n");
        }
        fixture.commit("feat: services");
        let programs = docker::folder(&registry);
        Self { fixture, registry, programs }
    }

    pub fn head(&self) -> String {
        self.fixture.git(&["rev-parse", "HEAD"])
    }

    /// Commits a change of no service.
    pub fn commit(&self, message: &str) -> String {
        self.fixture.write("notes", &format!("{message} after {}", self.head()));
        self.fixture.commit(message)
    }

    /// Commits a change of the service `web`.
    pub fn change(&self, content: &str) -> String {
        self.fixture.write("services/web/data", content);
        self.fixture.commit("feat: other data")
    }

    /// A checkout of a commit beside the repository.
    pub fn checkout(&self, revision: &str) -> PathBuf {
        let folder = self.fixture.root().with_file_name(revision);
        self.fixture.git(&[
            "worktree",
            "add",
            "--quiet",
            "--detach",
            folder.to_str().unwrap(),
            revision,
        ]);
        folder
    }

    /// Publishes the image of a commit for the service `web`, under tags.
    pub fn publish(&self, revision: &str, tags: &[&str]) -> Digest {
        self.publish_service("web", revision, tags)
    }

    /// The same for any service.
    pub fn publish_service(&self, service: &str, revision: &str, tags: &[&str]) -> Digest {
        let tree = self.fixture.git(&["rev-parse", &format!("{revision}:services/{service}")]);
        let inputs = Inputs {
            plan: PLAN,
            tree,
            arguments: BTreeMap::new(),
            target: None,
            platforms: vec![Platform::new("linux/amd64").unwrap()],
            bases: BTreeMap::new(),
            sbom: false,
        };
        let repository = format!("o/r/{service}");
        let labels = [
            ("org.opencontainers.image.revision", revision),
            ("io.autogit.inputs", &inputs.text()),
        ];
        let digest = self.registry.add_image(&repository, &labels);
        for tag in tags {
            self.registry.set_tag(&repository, tag, &digest);
        }
        digest
    }

    /// A reference to a tag of the service `web`.
    pub fn reference(&self, tag: &str) -> Reference {
        self.registry.reference("o/r/web").with_tag(Tag::new(tag).unwrap())
    }

    /// Where a tag of the service `web` points.
    pub fn tag(&self, tag: &str) -> Option<Digest> {
        self.registry.tag("o/r/web", tag)
    }

    /// The tags of `web` that were written, in order.
    pub fn writes(&self) -> Vec<String> {
        let requests = self.registry.requests("PUT", "");
        requests
            .iter()
            .filter_map(|request| Some(request.path.rsplit_once('/')?.1.to_owned()))
            .collect()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_in(self.fixture.root(), arguments)
    }

    /// The real `xtask` in this or another checkout.
    pub fn command_in(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = self.fixture.command(arguments);
        command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder.join("xtask"));
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.programs.path().display()));
        command
    }

    pub fn xtask(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }
}
