//! Owners, repositories and git references of the stand-in, and their records on disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::git::{self, Git, Object};
use super::question::{Question, error, invalid, not_found};
use super::releases::Release;
use crate::http::answer::Answer;
use crate::state;
use crate::sync::lock;
use crate::tokens::Level;

/// What the stand-in knows besides packages: kept in one file.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Records {
    /// `User` or `Organization` by login.
    pub owners: BTreeMap<String, String>,
    /// By `owner/name`.
    pub repositories: BTreeMap<String, Repository>,
    pub last_id: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Repository {
    pub id: u64,
    pub default_branch: String,
    pub private: bool,
    pub git_dir: PathBuf,
    /// The release that `releases/latest` names, when one was marked.
    pub latest_release: Option<u64>,
    /// In the order they were created.
    pub releases: Vec<Release>,
}

impl Repository {
    pub fn git(&self) -> Git {
        Git { directory: self.git_dir.clone() }
    }
}

/// A repository as it is registered.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    owner: String,
    name: String,
    #[serde(default = "user")]
    owner_type: String,
    #[serde(default = "main")]
    default_branch: String,
    #[serde(default)]
    private: bool,
    /// A bare repository to use; one of our own when absent.
    git_dir: Option<PathBuf>,
}

fn user() -> String {
    "User".to_owned()
}

fn main() -> String {
    "main".to_owned()
}

/// The records with their file.
#[derive(Debug)]
pub struct Repositories {
    directory: PathBuf,
    records: Mutex<Records>,
}

impl Repositories {
    pub fn open(directory: &Path) -> Result<Self> {
        let records = Mutex::new(state::read_json(&directory.join("github.json"))?);
        Ok(Self { directory: directory.to_owned(), records })
    }

    /// Registers a repository, and creates its git repository where there is none. What it had before stays.
    pub fn register(&self, registration: Registration) -> io::Result<Repository> {
        let full_name = format!("{}/{}", registration.owner, registration.name);
        let own = self.directory.join("repositories").join(format!("{full_name}.git"));
        let git_dir = registration.git_dir.unwrap_or(own);
        Git { directory: git_dir.clone() }.init(&registration.default_branch)?;
        self.change(|records| {
            records.owners.insert(registration.owner, registration.owner_type);
            records.last_id += 1;
            let id = records.last_id;
            let repository = records.repositories.entry(full_name).or_insert_with(|| Repository {
                id,
                default_branch: String::new(),
                private: false,
                git_dir: PathBuf::new(),
                latest_release: None,
                releases: Vec::new(),
            });
            (repository.default_branch, repository.private) =
                (registration.default_branch, registration.private);
            repository.git_dir = git_dir;
            repository.clone()
        })
    }

    /// Changes the records and writes them.
    pub fn change<T>(&self, change: impl FnOnce(&mut Records) -> T) -> io::Result<T> {
        let mut records = lock(&self.records);
        let result = change(&mut records);
        state::write_json(&self.directory.join("github.json"), &*records)?;
        Ok(result)
    }

    pub fn find(&self, full_name: &str) -> Option<Repository> {
        lock(&self.records).repositories.get(full_name).cloned()
    }

    /// `User` or `Organization`; none for an owner nobody registered.
    pub fn owner_type(&self, login: &str) -> Option<String> {
        lock(&self.records).owners.get(login).cloned()
    }

    /// `GET /repos/{owner}/{repo}`.
    pub fn show(
        &self,
        question: &Question<'_>,
        owner: &str,
        name: &str,
        repository: &Repository,
    ) -> Answer {
        let level = question.token.level("contents");
        Answer::json(
            200,
            &json!({
                "id": repository.id,
                "name": name,
                "full_name": format!("{owner}/{name}"),
                "owner": { "login": owner, "type": self.owner_type(owner) },
                "private": repository.private,
                "default_branch": repository.default_branch,
                "html_url": format!("https://github.com/{owner}/{name}"),
                "url": format!("{}/repos/{owner}/{name}", question.base),
                "permissions": { "admin": false, "push": level >= Level::Write, "pull": level >= Level::Read },
            }),
        )
    }
}

/// Answers what is under `/repos/{owner}/{repo}/git/`; `full_name` is `owner/repo`.
pub fn references(
    question: &Question<'_>,
    full_name: &str,
    git: &Git,
    rest: &[&str],
) -> io::Result<Answer> {
    let show = |name: &str, object: &Object| shown(question, full_name, name, object);
    match (question.method, rest) {
        ("GET", ["ref", name @ ..]) => {
            let name = format!("refs/{}", name.join("/"));
            let found = git.matching(&name)?.into_iter().find(|(candidate, _)| *candidate == name);
            Ok(found
                .map_or_else(not_found, |(name, object)| Answer::json(200, &show(&name, &object))))
        }
        ("GET", ["matching-refs", prefix @ ..]) => {
            let found = git.matching(&format!("refs/{}", prefix.join("/")))?;
            Ok(question.page(&found, |(name, object)| show(name, object)))
        }
        ("POST", ["refs"]) => create(question, full_name, git),
        ("DELETE", ["refs", name @ ..]) => {
            if let Some(refused) = question.lacks("contents", Level::Write) {
                return Ok(refused);
            }
            let name = format!("refs/{}", name.join("/"));
            if git.resolve(&name)?.is_none() {
                return Ok(error(422, "Reference does not exist"));
            }
            git.delete(&name)?;
            Ok(Answer::empty(204))
        }
        _ => Ok(not_found()),
    }
}

fn create(question: &Question<'_>, full_name: &str, git: &Git) -> io::Result<Answer> {
    if let Some(refused) = question.lacks("contents", Level::Write) {
        return Ok(refused);
    }
    let (Some(name), Some(sha)) = (question.text("ref"), question.text("sha")) else {
        let missing = if question.text("ref").is_none() { "ref" } else { "sha" };
        return Ok(invalid("Reference", missing, "missing_field"));
    };
    let well_formed =
        name.starts_with("refs/") && name.matches('/').count() >= 2 && git::is_valid(name)?;
    if !well_formed {
        return Ok(error(422, &format!("{name} is not a valid ref name.")));
    }
    if sha.len() != 40 || !sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(error(
            422,
            "The sha parameter must be exactly 40 characters and contain only [0-9a-f].",
        ));
    }
    // Git would take the hash of an object it does not have at its word.
    let Some(object) = git.resolve(&format!("{sha}^{{object}}"))? else {
        return Ok(error(422, "Object does not exist"));
    };
    if !git.create(name, sha)? {
        return Ok(error(422, "Reference already exists"));
    }
    Ok(Answer::json(201, &shown(question, full_name, name, &object)))
}

fn shown(question: &Question<'_>, full_name: &str, name: &str, object: &Object) -> Value {
    let repository = format!("{}/repos/{full_name}/git", question.base);
    json!({
        "ref": name,
        "url": format!("{repository}/{name}"),
        "object": {
            "type": object.kind,
            "sha": object.sha,
            "url": format!("{repository}/{}s/{}", object.kind, object.sha),
        },
    })
}
