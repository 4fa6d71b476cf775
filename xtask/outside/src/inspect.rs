//! Reads a published package for `plan::verify`: its tags, where the important ones point, and everything
//! below those, in parallel and nothing twice.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use xtask_model::facts::{LabFacts, ServiceFacts};
use xtask_model::failure::Interrupted;
use xtask_model::inspection::{
    BASE_DIGEST, BASE_NAME, Commit, Listing, Object, Package, Untagged, is_read,
};
use xtask_model::manifest::{Descriptor, Manifest, media_type};
use xtask_model::published::Relation;
use xtask_model::reference::{Digest, Reference, Tag};
use xtask_model::remote::RemoteError;

use super::process::Runner;
use super::registry::{CONFIGURATION_LIMIT, Client};
use super::{git, parallel, published};

/// Reads packages with one client.
pub struct Inspector<'a> {
    pub client: &'a Client,
    /// A client without credentials.
    pub anonymous: &'a Client,
    pub runner: &'a Runner,
    pub lab: Option<&'a LabFacts>,
    /// The commit that is checked out.
    pub head: Option<&'a str>,
    /// Which of a package's tags are looked up first.
    pub tags: fn(&[Tag]) -> Vec<Tag>,
    /// Those of them whose images are judged, and therefore read completely.
    pub judged: fn(&[Tag]) -> Vec<Tag>,
    /// Which tags belong to the commit of an image.
    pub tags_of: fn(&str, &[Tag]) -> Vec<Tag>,
}

impl Inspector<'_> {
    /// Reads the package of one service, whose Dockerfile names `bases`.
    pub fn package(
        &self,
        repository: &Reference,
        service: &ServiceFacts,
        bases: &[String],
    ) -> Result<Package> {
        let mut package = Package {
            repository: repository.clone(),
            listing: self.listing(repository)?,
            points: BTreeMap::new(),
            unread: BTreeMap::new(),
            objects: BTreeMap::new(),
            bases: BTreeMap::new(),
            commits: BTreeMap::new(),
            previous: None,
            newer: None,
            releases: git::releases(self.runner)?,
            public: None,
            base_layers: BTreeMap::new(),
            signatures: BTreeMap::new(),
            untagged: Untagged::default(),
        };
        let tags = package.listing.tags().to_vec();
        if tags.is_empty() {
            return Ok(package);
        }
        self.point(&mut package, &(self.tags)(&tags))?;
        let judged: BTreeSet<Digest> = (self.judged)(&tags)
            .iter()
            .filter_map(|tag| package.points.get(tag).cloned())
            .collect();
        let manifests = judged.iter().map(|digest| (digest.clone(), ReadAs::Manifest));
        self.read(&mut package, manifests.collect());
        let revisions = self.revisions(&package)?;
        let exact: Vec<Tag> =
            revisions.values().flat_map(|revision| (self.tags_of)(revision, &tags)).collect();
        self.point(&mut package, &exact)?;
        self.history(&mut package, service, &revisions, &tags)?;
        self.walk(&mut package, judged)?;
        package.bases = published::bases(self.client, bases, self.lab);
        package.public = self.public(repository);
        Ok(package)
    }

    fn listing(&self, repository: &Reference) -> Result<Listing> {
        Ok(match self.client.tags_as_seen(repository) {
            Ok(tags) => Listing::Tags(tags),
            Err(RemoteError::NotFound) => Listing::NotThere,
            Err(RemoteError::Interrupted) => return Err(Interrupted.into()),
            Err(error @ (RemoteError::Denied { .. } | RemoteError::Unauthorized { .. })) => {
                Listing::Denied { message: error.to_string() }
            }
            Err(error) => Listing::Unknown { message: error.to_string() },
        })
    }

    /// Where tags point. The others are judged even if one cannot be looked up.
    fn point(&self, package: &mut Package, tags: &[Tag]) -> Result<()> {
        let new: BTreeSet<&Tag> =
            tags.iter().filter(|tag| !package.points.contains_key(tag)).collect();
        let new: Vec<&Tag> = new.into_iter().collect();
        let repository = &package.repository;
        let heads = parallel::each(&new, |tag| {
            self.client.head_manifest(&repository.with_tag((*tag).clone()))
        });
        for (tag, head) in new.into_iter().zip(heads) {
            match head {
                Ok(head) => drop(package.points.insert(tag.clone(), head.digest)),
                // Deleted since the tags were listed.
                Err(RemoteError::NotFound) => {}
                Err(RemoteError::Interrupted) => return Err(Interrupted.into()),
                Err(error) => drop(package.unread.insert(tag.clone(), error.to_string())),
            }
        }
        Ok(())
    }

    /// The commits that the images of tags name, by tag.
    fn revisions(&self, package: &Package) -> Result<BTreeMap<Tag, String>> {
        let mut revisions = BTreeMap::new();
        for (tag, digest) in &package.points {
            let Some(Manifest::Index(_) | Manifest::Image(_)) = package.manifest(digest) else {
                continue;
            };
            match published::image(self.client, &package.repository.at(digest.clone())) {
                Ok(image) => {
                    revisions.extend(image.revision.map(|revision| (tag.clone(), revision)));
                }
                Err(RemoteError::Interrupted) => return Err(Interrupted.into()),
                // The complete reading reports what is missing.
                Err(_) => {}
            }
        }
        Ok(revisions)
    }

    /// What git knows about the images' commits, and which image came before that of `dev`.
    fn history(
        &self,
        package: &mut Package,
        service: &ServiceFacts,
        revisions: &BTreeMap<Tag, String>,
        tags: &[Tag],
    ) -> Result<()> {
        let Some(head) = self.head else { return Ok(()) };
        for revision in revisions.values() {
            if !package.commits.contains_key(revision) {
                let relation = git::relation(self.runner, revision, head)?;
                let touched = match relation {
                    Relation::Older => git::touched(self.runner, revision, &service.folder)?,
                    _ => None,
                };
                package.commits.insert(revision.clone(), Commit { relation, touched });
            }
        }
        let dev = revisions.iter().find(|(tag, _)| tag.is_dev());
        if let Some((_, revision)) = dev {
            let commits = tags.iter().filter_map(Tag::commit);
            let published: Vec<String> = commits.map(str::to_owned).collect();
            package.newer = published::newer(self.runner, tags, revision)?.newest;
            let newer: Vec<Tag> = package.newer.iter().cloned().collect();
            self.point(package, &newer)?;
            let before = git::newest_before(self.runner, revision, &published)?;
            package.previous = before.map(|commit| Tag::dev_commit(&commit)).transpose()?;
            let previous: Vec<Tag> = package.previous.iter().cloned().collect();
            self.point(package, &previous)?;
        }
        Ok(())
    }

    /// Reads everything below the judged images, level by level. Of the image before `dev`, only its sizes
    /// matter.
    fn walk(&self, package: &mut Package, judged: BTreeSet<Digest>) -> Result<()> {
        let previous = package.previous.as_ref().and_then(|tag| package.points.get(tag)).cloned();
        let previous = previous.filter(|digest| !judged.contains(digest));
        self.read(package, previous.iter().map(|d| (d.clone(), ReadAs::Manifest)).collect());
        let mut level: Vec<(Digest, bool)> =
            judged.into_iter().map(|digest| (digest, false)).collect();
        level.extend(previous.map(|digest| (digest, true)));
        let mut seen = BTreeSet::new();
        while !level.is_empty() {
            super::interrupt::check()?;
            let mut wanted = Vec::new();
            let mut next = Vec::new();
            for (digest, shallow) in level {
                if !seen.insert(digest.clone()) {
                    continue;
                }
                let Some(manifest) = package.manifest(&digest) else { continue };
                for entry in manifest.children() {
                    let want = ReadAs::of(entry);
                    let is_attestation = entry.is_attestation();
                    if !shallow || (matches!(want, ReadAs::Manifest) && !is_attestation) {
                        wanted.push((entry.digest.clone(), want));
                        next.push((entry.digest.clone(), shallow));
                    }
                }
            }
            self.read(package, wanted);
            level = next;
        }
        Ok(())
    }

    /// Reads objects that were not read yet, side by side.
    fn read(&self, package: &mut Package, wanted: Vec<(Digest, ReadAs)>) {
        let wanted: BTreeMap<Digest, ReadAs> = wanted
            .into_iter()
            .filter(|(digest, _)| !package.objects.contains_key(digest))
            .collect();
        let wanted: Vec<(Digest, ReadAs)> = wanted.into_iter().collect();
        let repository = &package.repository;
        let read = parallel::each(&wanted, |(digest, want)| self.object(repository, digest, *want));
        package.objects.extend(wanted.into_iter().map(|(digest, _)| digest).zip(read));
    }

    fn object(&self, repository: &Reference, digest: &Digest, want: ReadAs) -> Object {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let read = match want {
            ReadAs::Manifest => {
                self.client.manifest(&repository.at(digest.clone())).map(|stored| {
                    let media_type = stored.media_type;
                    Object::Manifest { media_type, text: text(stored.bytes) }
                })
            }
            ReadAs::Document => self
                .client
                .blob(repository, digest, CONFIGURATION_LIMIT)
                .map(|bytes| Object::Document { text: text(bytes) }),
            ReadAs::Presence { size } => {
                self.client.head_blob(repository, digest).map(|there| match there {
                    // Some registries report no length without the body.
                    Some(bytes) if bytes != size && bytes != 0 => {
                        Object::Corrupt { detail: format!("{bytes} bytes (expected: {size})") }
                    }
                    _ => Object::There,
                })
            }
        };
        read.unwrap_or_else(|error| match error {
            RemoteError::NotFound => Object::Missing,
            RemoteError::Corrupt { detail } => Object::Corrupt { detail },
            error => Object::Unknown { message: error.to_string() },
        })
    }

    /// The layers of the bases of images, by the images' digests, without images whose base cannot be read.
    pub fn base_layers(
        &self,
        package: &Package,
        digests: &[Digest],
    ) -> BTreeMap<Digest, BTreeSet<Digest>> {
        let of_image =
            |digest: &Digest| Some((digest.clone(), self.layers_below(package, digest)?));
        parallel::each(digests, of_image).into_iter().flatten().collect()
    }

    fn layers_below(&self, package: &Package, digest: &Digest) -> Option<BTreeSet<Digest>> {
        let label = |key| package.label(digest, key);
        let base = published::base(&label(BASE_NAME)?, self.lab)?
            .at(Digest::new(label(BASE_DIGEST)?).ok()?);
        let mut layers = BTreeSet::new();
        let images = match self.client.manifest(&base).ok()?.parse().ok()? {
            Manifest::Index(index) => {
                let ours = package.images(digest);
                let is_ours = |entry: &&Descriptor| {
                    ours.iter().any(|(own, ..)| {
                        own.as_ref().is_none_or(|own| own.platform == entry.platform)
                    })
                };
                index.images().filter(is_ours).map(|entry| entry.digest.clone()).collect()
            }
            _ => vec![base.digest.clone()?],
        };
        for image in images {
            let Manifest::Image(image) =
                self.client.manifest(&base.at(image)).ok()?.parse().ok()?
            else {
                return None;
            };
            layers.extend(image.layers.into_iter().map(|layer| layer.digest));
        }
        Some(layers)
    }

    /// Whether anyone may list the tags without credentials.
    fn public(&self, repository: &Reference) -> Option<bool> {
        match self.anonymous.tags(repository) {
            Ok(_) => Some(true),
            Err(
                RemoteError::NotFound
                | RemoteError::Denied { .. }
                | RemoteError::Unauthorized { .. },
            ) => Some(false),
            Err(_) => None,
        }
    }
}

/// How an object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadAs {
    Manifest,
    Document,
    /// Whether it exists with the size in its descriptor.
    Presence {
        size: u64,
    },
}

impl ReadAs {
    fn of(entry: &Descriptor) -> Self {
        match entry.media_type.as_str() {
            kind if media_type::MANIFESTS.contains(&kind) => Self::Manifest,
            _ if is_read(entry) => Self::Document,
            _ => Self::Presence { size: entry.size },
        }
    }
}
