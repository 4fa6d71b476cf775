//! The floating tags of a release. They move when the images of all services are published, to the highest
//! stable version of their line, even if other releases run at the same time.

use std::sync::OnceLock;

use anyhow::Result;
use semver::Version;

use crate::model::publication::{Published, TagResult};
use crate::model::reference::{Reference, Tag};
use crate::model::remote::RemoteError;
use crate::outside::registry::StoredManifest;
use crate::plan::{publish, release};

use super::tag_writer::{TagWriter, result};

/// The versions that are published, read once before the first tag moves and once after the last.
pub struct ReleaseTags {
    repositories: Vec<Reference>,
    before: OnceLock<Vec<Version>>,
    after: OnceLock<Vec<Version>>,
}

impl ReleaseTags {
    /// For the services with these repositories.
    pub fn new(repositories: Vec<Reference>) -> Self {
        Self { repositories, before: OnceLock::new(), after: OnceLock::new() }
    }

    /// Moves a floating tag, unless a higher version of its line was published since the plan was made.
    /// No tag can point yet to an image that was `built` just now.
    pub fn move_tag(
        &self,
        writer: &TagWriter<'_>,
        reference: &Reference,
        stored: &StoredManifest,
        built: bool,
    ) -> Result<TagResult> {
        let higher = self.higher(writer, reference, &self.before)?;
        if let Some(higher) = higher {
            return result(reference, false, &overtaken(&higher));
        }
        if !built && writer.digest_at(reference)?.as_ref() == Some(&stored.digest) {
            return result(reference, false, "already set");
        }
        writer.put(reference, stored)?;
        result(reference, true, "the highest version of its line")
    }

    /// Gives each floating tag to a higher version that was published while the tags moved.
    pub fn recheck(
        &self,
        writer: &TagWriter<'_>,
        references: &[Reference],
        published: &mut Published,
    ) -> Result<()> {
        for reference in references {
            let Some(higher) = self.higher(writer, reference, &self.after)? else { continue };
            if self.higher(writer, reference, &self.before)?.as_ref() == Some(&higher) {
                continue;
            }
            let other = Tag::new(format!("v{higher}"))?;
            // A service that the higher version does not have yet gets its tags from that release.
            if writer.digest_at(&reference.with_tag(other.clone()))?.is_some() {
                writer.give(reference, &other)?;
            }
            let mut results = published.tags.iter_mut();
            if let Some(result) = results.find(|result| reference.tag.as_ref() == Some(&result.tag))
            {
                result.set = false;
                result.reason = overtaken(&higher);
            }
        }
        Ok(())
    }

    /// The version that the tag belongs to, if it is higher than the one released here.
    fn higher(
        &self,
        writer: &TagWriter<'_>,
        reference: &Reference,
        versions: &OnceLock<Vec<Version>>,
    ) -> Result<Option<Version>> {
        if versions.get().is_none() {
            // Steps after the services run one at a time, so no other step fills this.
            let _ = versions.set(self.published(writer)?);
        }
        let Some((tag, versions)) = reference.tag.as_ref().zip(versions.get()) else {
            return Ok(None);
        };
        Ok(publish::higher(tag, writer.request, versions).cloned())
    }

    /// The versions that any service is published under now.
    fn published(&self, writer: &TagWriter<'_>) -> Result<Vec<Version>> {
        let mut versions = Vec::new();
        for repository in &self.repositories {
            let tags = writer.again(|| match writer.client.tags(repository) {
                Err(RemoteError::NotFound) => Ok(Vec::new()),
                other => other,
            })?;
            versions.extend(release::published(&tags));
        }
        Ok(versions)
    }
}

fn overtaken(higher: &Version) -> String {
    format!("v{higher}, a higher version, was released at the same time")
}
