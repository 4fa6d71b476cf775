//! What a registry has of a service: the images under its tags, and how their commits relate to the
//! one at hand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::inputs::Inputs;
use super::reference::{Digest, Tag};

/// One published image, by what its index or manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedImage {
    pub digest: Digest,
    /// The commit it was built from, where it says so.
    pub revision: Option<String>,
    /// The commit's time, RFC 3339.
    pub created: Option<String>,
    pub inputs: Option<Inputs>,
    /// The base that it stands in for, where it was built on a stand-in.
    pub stand_in: Option<String>,
}

/// What is there of a service before it is published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedState {
    /// All tags, when the repository is there.
    pub tags: Vec<Tag>,
    /// The images under the tags that the publication is about.
    pub images: BTreeMap<Tag, PublishedImage>,
    /// How the commit of each of those images relates to ours.
    pub relations: BTreeMap<Tag, Relation>,
    /// A published commit that is newer than ours: the tag of its image.
    pub newer: Option<Tag>,
    /// Digests of the service's bases, by their names in the Dockerfile; one that cannot be resolved
    /// is not there.
    pub bases: BTreeMap<String, Digest>,
}

impl PublishedState {
    /// Whether the tag `dev` points to the image, as far as that tag was read.
    pub fn dev_has(&self, digest: &Digest) -> bool {
        self.images.get(&Tag::dev()).is_some_and(|image| image.digest == *digest)
    }
}

/// How another commit relates to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    Same,
    /// Ours was made on top of it.
    Older,
    /// It was made on top of ours.
    Newer,
    /// Neither was made on top of the other.
    Apart,
    /// This clone does not have it.
    Unknown,
}
