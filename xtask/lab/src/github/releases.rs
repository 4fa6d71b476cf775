//! Releases of a repository, by the rules of the REST API: a published release has a tag, creates it if it is
//! missing, and is the only release of that tag. A draft has no tag yet and cannot be found by one.

use std::io;

use serde_json::{Value, json};

use super::git::{self, Git};
use super::question::{Question, error, invalid, not_found};
use super::repositories::{Release, Repositories, Repository};
use crate::clock;
use crate::http::answer::Answer;
use crate::tokens::Level;

const LONGEST_BODY: usize = 125_000;

/// The releases of one repository.
#[derive(Debug)]
pub struct Releases<'r> {
    pub repositories: &'r Repositories,
    /// `owner/repo`.
    pub full_name: &'r str,
    pub repository: Repository,
}

impl Releases<'_> {
    /// Answers requests below `/repos/{owner}/{repo}/releases`.
    pub fn answer(&self, question: &Question<'_>, rest: &[&str]) -> io::Result<Answer> {
        let show = |release: &Release| self.shown(question, release);
        let found = |release: Option<&Release>| {
            release.map_or_else(not_found, |release| Answer::json(200, &show(release)))
        };
        Ok(match (question.method, rest) {
            ("GET", []) => question.page(&self.visible(question), |release| show(release)),
            ("POST", []) => self.create(question)?,
            ("GET", ["latest"]) => found(self.latest()),
            ("GET", ["tags", tag @ ..]) => found(self.published(&tag.join("/"))),
            (_, [id]) => {
                let id: u64 = id.parse().unwrap_or_default();
                let visible = self.visible(question);
                let Some(release) = visible.into_iter().find(|release| release.id == id) else {
                    return Ok(not_found());
                };
                match question.method {
                    "GET" => Answer::json(200, &show(release)),
                    "PATCH" => self.update(question, release)?,
                    _ => not_found(),
                }
            }
            _ => not_found(),
        })
    }

    /// Newest first; shows drafts only to tokens that may write.
    fn visible(&self, question: &Question<'_>) -> Vec<&Release> {
        let writes = question.token.level("contents") >= Level::Write;
        self.repository.releases.iter().rev().filter(|release| writes || !release.draft).collect()
    }

    fn published(&self, tag: &str) -> Option<&Release> {
        self.repository.releases.iter().find(|release| !release.draft && release.tag_name == tag)
    }

    /// The marked release, or else the newest full release.
    fn latest(&self) -> Option<&Release> {
        let full = |release: &&Release| !release.draft && !release.prerelease;
        let marked = self.repository.latest_release;
        let releases = || self.repository.releases.iter().filter(full);
        releases()
            .find(|release| Some(release.id) == marked)
            .or_else(|| releases().max_by_key(|release| (release.created, release.id)))
    }

    fn create(&self, question: &Question<'_>) -> io::Result<Answer> {
        let Some(tag_name) = question.text("tag_name").filter(|tag| !tag.is_empty()) else {
            return Ok(invalid("Release", "tag_name", "missing_field"));
        };
        let blank = Release {
            id: 0,
            tag_name: tag_name.to_owned(),
            target_commitish: self.repository.default_branch.clone(),
            name: None,
            body: None,
            draft: false,
            prerelease: false,
            author: question.token.login.clone(),
            created: clock::seconds(),
            published: None,
        };
        self.store(question, blank, 201)
    }

    fn update(&self, question: &Question<'_>, release: &Release) -> io::Result<Answer> {
        self.store(question, release.clone(), 200)
    }

    /// Copies the fields from the body, checks the result, and saves it.
    fn store(
        &self,
        question: &Question<'_>,
        mut release: Release,
        status: u16,
    ) -> io::Result<Answer> {
        if let Some(refused) = question.lacks("contents", Level::Write) {
            return Ok(refused);
        }
        take_over(question, &mut release);
        if let Some(refused) = self.check(&release)? {
            return Ok(refused);
        }
        let published_now = !release.draft && release.published.is_none();
        if published_now {
            if let Err(refused) = ensure_tag(&self.repository.git(), &mut release)? {
                return Ok(refused);
            }
            release.published = Some(clock::seconds());
        }
        let marked = match question.text("make_latest") {
            Some("true") => true,
            Some(_) => false,
            None => published_now,
        };
        let is_latest = marked && !release.draft && !release.prerelease;
        let release = self.repositories.change(|records| {
            if release.id == 0 {
                records.last_id += 1;
                release.id = records.last_id;
            }
            if let Some(repository) = records.repositories.get_mut(self.full_name) {
                match repository.releases.iter_mut().find(|other| other.id == release.id) {
                    Some(other) => *other = release.clone(),
                    None => repository.releases.push(release.clone()),
                }
                if is_latest {
                    repository.latest_release = Some(release.id);
                }
            }
            release
        })?;
        let shown = self.shown(question, &release);
        let url = shown.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Answer::json(status, &shown).with("Location", url))
    }

    fn check(&self, release: &Release) -> io::Result<Option<Answer>> {
        if !git::is_valid(&format!("refs/tags/{}", release.tag_name))? {
            return Ok(Some(invalid("Release", "tag_name", "custom")));
        }
        if release.body.as_ref().is_some_and(|body| body.chars().count() > LONGEST_BODY) {
            return Ok(Some(error(
                422,
                &format!("body is too long (maximum is {LONGEST_BODY} characters)"),
            )));
        }
        let taken = self.published(&release.tag_name).is_some_and(|other| other.id != release.id);
        Ok((taken && !release.draft).then(|| invalid("Release", "tag_name", "already_exists")))
    }

    fn shown(&self, question: &Question<'_>, release: &Release) -> Value {
        let url = format!("{}/repos/{}/releases/{}", question.base, self.full_name, release.id);
        // A draft has no tag; GitHub shows it under its own name.
        let page = if release.draft {
            format!("untagged-{}", release.id)
        } else {
            release.tag_name.clone()
        };
        json!({
            "id": release.id,
            "url": url,
            "html_url": format!("https://github.com/{}/releases/tag/{page}", self.full_name),
            "upload_url": format!("{url}/assets{{?name,label}}"),
            "tag_name": release.tag_name,
            "target_commitish": release.target_commitish,
            "name": release.name,
            "body": release.body,
            "draft": release.draft,
            "prerelease": release.prerelease,
            "author": { "login": release.author },
            "created_at": clock::format(release.created),
            "published_at": release.published.map(clock::format),
            "assets": [],
        })
    }
}

fn take_over(question: &Question<'_>, release: &mut Release) {
    for (field, name) in
        [(&mut release.tag_name, "tag_name"), (&mut release.target_commitish, "target_commitish")]
    {
        if let Some(text) = question.text(name).filter(|text| !text.is_empty()) {
            text.clone_into(field);
        }
    }
    for (field, name) in [(&mut release.name, "name"), (&mut release.body, "body")] {
        if let Some(text) = question.text(name) {
            *field = Some(text.to_owned());
        }
    }
    // A published release stays published.
    release.draft = release.published.is_none() && question.flag("draft").unwrap_or(release.draft);
    release.prerelease = question.flag("prerelease").unwrap_or(release.prerelease);
}

/// Creates the tag of a release at its target if it is missing, and copies the commit's time.
fn ensure_tag(git: &Git, release: &mut Release) -> io::Result<Result<(), Answer>> {
    let tag = format!("refs/tags/{}", release.tag_name);
    if git.resolve(&tag)?.is_none() {
        let branch = git.resolve(&format!("refs/heads/{}^{{commit}}", release.target_commitish))?;
        let target = match branch {
            Some(commit) => Some(commit),
            None => git.resolve(&format!("{}^{{commit}}", release.target_commitish))?,
        };
        let Some(target) = target else {
            return Ok(Err(invalid("Release", "target_commitish", "invalid")));
        };
        git.create(&tag, &target)?;
    }
    release.created = git.commit_time(&tag)?.unwrap_or(release.created);
    Ok(Ok(()))
}
