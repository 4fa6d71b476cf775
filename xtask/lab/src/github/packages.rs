//! GHCR's container packages in the REST API. The ledger has their versions; deletions and restorations also
//! change the real registry.

use std::io;
use std::sync::Arc;

use serde_json::{Value, json};

use super::question::{Question, error, not_found};
use crate::clock;
use crate::http::answer::Answer;
use crate::http::target;
use crate::ledger::Ledger;
use crate::ledger::packages::{Event, Package, Version, What};
use crate::registry::Registry;
use crate::tokens::Level;

/// How long a deleted version can be restored, in seconds.
const RESTORABLE: u64 = 30 * 24 * 3600;

/// All packages.
#[derive(Debug)]
pub struct Packages {
    pub ledger: Arc<Ledger>,
    pub registry: Arc<Registry>,
}

/// One package, as a path names it.
#[derive(Clone, Copy, Debug)]
pub struct Named<'p> {
    /// `users` or `orgs`.
    pub space: &'p str,
    pub owner: &'p str,
    /// Decoded; it may contain slashes.
    pub name: &'p str,
}

impl Named<'_> {
    fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    fn url(&self, base: &str) -> String {
        format!(
            "{base}/{}/{}/packages/container/{}",
            self.space,
            self.owner,
            target::encode(self.name)
        )
    }

    fn page(&self) -> String {
        format!("https://github.com/{}/{}/packages/container", self.space, self.owner)
    }
}

impl Packages {
    /// Whether anything was ever pushed under this owner.
    pub fn knows_owner(&self, owner: &str) -> bool {
        let prefix = format!("{owner}/");
        self.ledger.read(|packages| packages.keys().any(|name| name.starts_with(&prefix)))
    }

    /// Answers requests below `/{users|orgs}/{owner}/packages/container/{name}`.
    pub fn answer(
        &self,
        question: &Question<'_>,
        named: &Named<'_>,
        rest: &[&str],
    ) -> io::Result<Answer> {
        if let Some(refused) = question.lacks("packages", Level::Read) {
            return Ok(refused);
        }
        let repository = named.repository();
        match (question.method, rest) {
            ("GET", ["versions"]) => Ok(self.versions(question, named)),
            ("GET", ["versions", id]) => Ok(self.look(&repository, |package| {
                let version = id.parse().ok().and_then(|id| package.version(id));
                let version = version.filter(|version| version.deleted.is_none())?;
                Some(Answer::json(200, &shown_version(question, named, version)))
            })),
            ("DELETE", ["versions", id]) => {
                self.delete(question, &repository, id.parse().unwrap_or_default())
            }
            ("POST", ["versions", id, "restore"]) => {
                self.restore(question, &repository, id.parse().unwrap_or_default())
            }
            _ => Ok(not_found()),
        }
    }

    fn look(&self, repository: &str, answer: impl FnOnce(&Package) -> Option<Answer>) -> Answer {
        self.ledger
            .read(|packages| packages.get(repository).and_then(answer))
            .unwrap_or_else(no_package)
    }

    fn versions(&self, question: &Question<'_>, named: &Named<'_>) -> Answer {
        let deleted = target::parameter(question.target, "state").as_deref() == Some("deleted");
        self.look(&named.repository(), |package| {
            let versions: Vec<_> =
                if deleted { package.deleted().collect() } else { package.listed().collect() };
            let exists = deleted || !versions.is_empty();
            exists.then(|| {
                question.page(&versions, |version| shown_version(question, named, version))
            })
        })
    }

    fn delete(&self, question: &Question<'_>, repository: &str, id: u64) -> io::Result<Answer> {
        if let Some(refused) = question.lacks("packages", Level::Write) {
            return Ok(refused);
        }
        let digest = self.ledger.read(|packages| {
            let package = packages.get(repository).ok_or_else(no_package)?;
            let version = package
                .version(id)
                .filter(|version| version.deleted.is_none())
                .ok_or_else(no_package)?;
            deletable(package, version).map(|()| version.digest.clone())
        });
        let digest = match digest {
            Ok(digest) => digest,
            Err(refused) => return Ok(refused),
        };
        let status = self.registry.ask("DELETE", &manifest(repository, &digest), "", &[])?;
        // 404: it was deleted at the registry, without the front.
        if !matches!(status, 202 | 404) {
            return Ok(error(
                500,
                &format!("the registry answered {status} to the deletion of `{digest}`"),
            ));
        }
        self.enter(repository, What::Deleted { digest })?;
        Ok(Answer::empty(204))
    }

    fn restore(&self, question: &Question<'_>, repository: &str, id: u64) -> io::Result<Answer> {
        if let Some(refused) = question.lacks("packages", Level::Write) {
            return Ok(refused);
        }
        let deleted = self.ledger.read(|packages| {
            let package = packages.get(repository)?;
            let version = package.version(id)?.clone();
            let deletion = version.deleted.as_ref()?;
            let in_time = clock::seconds() <= deletion.at + RESTORABLE;
            let replaced = package.current(&version.digest).is_some();
            let free = deletion.tags.iter().filter(|tag| !package.has_tag(tag)).cloned();
            let tags: Vec<_> = free.collect();
            (in_time && !replaced).then_some((version, tags))
        });
        let Some((version, tags)) = deleted else { return Ok(no_package()) };
        let bytes = self.ledger.manifest(&version.digest)?;
        for reference in std::iter::once(&version.digest).chain(&tags) {
            let path = manifest(repository, reference);
            let status = self.registry.ask("PUT", &path, &version.media_type, &bytes)?;
            if status != 201 {
                let message =
                    format!("the registry answered {status} when `{reference}` was put back");
                return Ok(error(422, &message));
            }
        }
        self.enter(repository, What::Restored { id, tags })?;
        Ok(Answer::empty(204))
    }

    fn enter(&self, repository: &str, what: What) -> io::Result<()> {
        self.ledger.enter([Event { repository: repository.to_owned(), at: clock::seconds(), what }])
    }
}

fn deletable(package: &Package, version: &Version) -> Result<(), Answer> {
    if package.listed().count() == 1 {
        return Err(error(
            400,
            "You cannot delete the last version of a package. You must delete the package instead.",
        ));
    }
    if !version.tags.is_empty() && package.tagged() == 1 {
        return Err(error(
            400,
            "You cannot delete the last tagged version of a package. You must delete the package instead.",
        ));
    }
    Ok(())
}

fn no_package() -> Answer {
    error(404, "Package not found.")
}

fn manifest(repository: &str, reference: &str) -> String {
    format!("/v2/{repository}/manifests/{reference}")
}

fn shown_version(question: &Question<'_>, named: &Named<'_>, version: &Version) -> Value {
    let created = clock::format(version.created);
    let tags = version.deleted.as_ref().map_or(&version.tags, |deletion| &deletion.tags);
    let mut shown = json!({
        "id": version.id,
        "name": version.digest,
        "url": format!("{}/versions/{}", named.url(&question.base), version.id),
        "package_html_url": format!("{}/package/{}", named.page(), target::encode(named.name)),
        "html_url": format!("{}/{}/{}", named.page(), target::encode(named.name), version.id),
        "created_at": created,
        "updated_at": created,
        "metadata": { "package_type": "container", "container": { "tags": tags } },
    });
    if let (Some(deletion), Some(fields)) = (&version.deleted, shown.as_object_mut()) {
        fields.insert("deleted_at".to_owned(), clock::format(deletion.at).into());
    }
    shown
}
