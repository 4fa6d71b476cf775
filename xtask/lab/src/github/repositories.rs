//! Owners and repositories of the stand-in, and their records on disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::git::Git;
use crate::state;
use crate::sync::lock;

/// The state of the stand-in except packages, in one file.
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
    pub git_dir: PathBuf,
    /// The release behind `releases/latest`, if one was marked.
    pub latest_release: Option<u64>,
    /// In the order they were created.
    pub releases: Vec<Release>,
}

impl Repository {
    pub fn git(&self) -> Git {
        Git { directory: self.git_dir.clone() }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Release {
    pub id: u64,
    pub tag_name: String,
    pub target_commitish: String,
    pub name: Option<String>,
    pub body: Option<String>,
    pub draft: bool,
    pub prerelease: bool,
    pub author: String,
    /// Seconds since 1970: the time of the commit.
    pub created: u64,
    pub published: Option<u64>,
}

/// The registration of a repository.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    owner: String,
    name: String,
    #[serde(default = "user")]
    owner_type: String,
    #[serde(default = "main")]
    default_branch: String,
    /// A bare repository to use; by default a new one.
    git_dir: Option<PathBuf>,
}

fn user() -> String {
    "User".to_owned()
}

fn main() -> String {
    "main".to_owned()
}

/// The records and their file.
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

    /// Registers a repository, and creates its git repository if it is missing. Earlier content stays.
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
                git_dir: PathBuf::new(),
                latest_release: None,
                releases: Vec::new(),
            });
            repository.default_branch = registration.default_branch;
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

    /// `User` or `Organization`; none for an unregistered owner.
    pub fn owner_type(&self, login: &str) -> Option<String> {
        lock(&self.records).owners.get(login).cloned()
    }
}
