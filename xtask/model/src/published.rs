//! What a registry contains of a service: the images under its tags, and how their commits relate to ours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::inputs::Inputs;
use super::reference::{Digest, Tag};

/// One published image, as its index or manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedImage {
    pub digest: Digest,
    /// The commit that it was built from, if known.
    pub revision: Option<String>,
    /// The commit's time, RFC 3339.
    pub created: Option<String>,
    pub inputs: Option<Inputs>,
    /// The base image that a stand-in replaced, if it was built on one.
    pub stand_in: Option<String>,
}

/// The published state of a service before a command changes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedState {
    /// All tags; none if the repository does not exist.
    pub tags: Vec<Tag>,
    /// The images under the tags that matter to the publication.
    pub images: BTreeMap<Tag, PublishedImage>,
    /// How the commit of each of those images relates to ours.
    pub relations: BTreeMap<Tag, Relation>,
    /// The tag of a published image whose commit is newer than ours.
    pub newer: Option<Tag>,
    /// Digests of the service's bases, by their names in the Dockerfile, without those that cannot be
    /// resolved.
    pub bases: BTreeMap<String, Digest>,
}

impl PublishedState {
    /// Whether the tag `dev` points to the image, as far as that tag was read.
    pub fn dev_has(&self, digest: &Digest) -> bool {
        self.images.get(&Tag::dev()).is_some_and(|image| image.digest == *digest)
    }
}

/// How a different commit relates to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    Same,
    /// It is an ancestor of ours.
    Older,
    /// It is a descendant of ours.
    Newer,
    /// Neither is an ancestor of the other.
    Apart,
    /// This clone does not contain it.
    Unknown,
}
