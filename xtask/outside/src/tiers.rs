//! Looks at the cache tiers of services before a build: what they contain, and whether they answer. All are
//! read in parallel with a time limit, because a builder waits forever for a tier that never answers. What
//! they are worth is `plan::cache`'s to decide.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::environment::ActionsRuntime;
use super::registry::{CONFIGURATION_LIMIT, Client, LARGEST_EMPTY, ManifestHead, invalidated};
use super::{actions_cache, interrupt, parallel};
use xtask_model::cache_records::{CacheRecords, IMPORT_LIMIT};
use xtask_model::image_configuration::ImageConfiguration;
use xtask_model::manifest::{
    CacheManifest, Descriptor, ImageManifest, Index, Manifest, media_type,
};
use xtask_model::platform::Platform;
use xtask_model::reference::{Digest, Reference};
use xtask_model::remote::{self, RemoteError};
use xtask_model::service::ServiceName;
use xtask_model::tier::{CachePlace, CacheTier, Seen, TierLook};

/// How long a tier may take to answer.
pub const LIMIT: Duration = Duration::from_secs(3);

/// How to look at tiers.
#[derive(Debug)]
pub struct Looker<'a> {
    pub client: &'a Client,
    pub actions: &'a ActionsRuntime,
    /// The platforms of each service's images.
    pub platforms: &'a BTreeMap<ServiceName, Vec<Platform>>,
    /// Seconds since 1970.
    pub now: u64,
    /// The images that were already built from the current inputs. Such an image replaces `:dev`, and the other
    /// tiers need only answer.
    pub made: &'a BTreeMap<ServiceName, Digest>,
    /// [`LIMIT`], except in tests.
    pub limit: Duration,
}

impl Looker<'_> {
    /// Looks at all four tiers of each place, in this order. It fails only if the user interrupts; any other
    /// error is a result.
    pub fn look(&self, places: &[CachePlace]) -> Result<Vec<TierLook>> {
        let wanted: Vec<(&CachePlace, CacheTier)> =
            places.iter().flat_map(|place| CacheTier::ALL.map(|tier| (place, tier))).collect();
        let looks = parallel::each(&wanted, |(place, tier)| self.one(place, *tier));
        interrupt::check()?;
        Ok(looks)
    }

    fn one(&self, place: &CachePlace, tier: CacheTier) -> TierLook {
        let start = Instant::now();
        let client = self.client.within(self.limit);
        let (reference, seen) = match place.reference(tier) {
            Some(reference) => {
                let (reference, seen) = self.in_registry(&client, place, tier, reference);
                (Some(reference), seen)
            }
            None => match place.scope() {
                Ok(scope) => {
                    (None, actions_cache::look(client.http(), self.actions, &scope, self.now))
                }
                Err(error) => (None, Seen::Failed { message: error.to_string() }),
            },
        };
        let seconds = start.elapsed().as_secs_f64();
        TierLook { service: place.service.clone(), tier, reference, seen, seconds }
    }

    /// Reads the tier at `reference`, or the image that replaces it; returns its reference too.
    fn in_registry(
        &self,
        client: &Client,
        place: &CachePlace,
        tier: CacheTier,
        reference: Reference,
    ) -> (Reference, Seen) {
        match (self.made.get(&place.service), tier) {
            (Some(made), CacheTier::Dev) => {
                let digest = made.clone();
                (place.repository.at(made.clone()), Seen::ImageOfSameInputs { digest })
            }
            (Some(_), CacheTier::Cache) => {
                let seen = unread(client, &reference).unwrap_or_else(Seen::of_error);
                (reference, seen)
            }
            (Some(_), _) => {
                let head = client.head_manifest(&reference);
                let seen = head.map(|ManifestHead { digest, .. }| Seen::Unread { digest });
                (reference, seen.unwrap_or_else(Seen::of_error))
            }
            (None, _) => {
                let platforms = self.platforms.get(&place.service).map_or(&[][..], Vec::as_slice);
                let reading = Reading { client, reference: &reference, platforms };
                let seen = reading.tier(tier).unwrap_or_else(Seen::of_error);
                (reference, seen)
            }
        }
    }
}

/// Reads one registry tier.
struct Reading<'a> {
    client: &'a Client,
    reference: &'a Reference,
    platforms: &'a [Platform],
}

impl Reading<'_> {
    fn tier(&self, tier: CacheTier) -> remote::Result<Seen> {
        let stored = self.client.manifest_as_seen(self.reference)?;
        let digest = stored.digest.clone();
        match stored.parse()? {
            Manifest::Cache(cache) => self.cache(digest, &cache),
            Manifest::Index(_) | Manifest::Image(_) if tier == CacheTier::Cache => {
                Ok(Seen::ImageInsteadOfCache { digest })
            }
            Manifest::Index(index) => self.images(digest, &index),
            Manifest::Image(image) => {
                let records = self.inline(&image)?;
                Ok(image_with(digest, records, image.compressed_size()))
            }
            Manifest::Other { media_type, .. } => {
                let what = media_type.escape_debug();
                Ok(Seen::Failed {
                    message: format!("expected an image or a cache, found `{what}`"),
                })
            }
        }
    }

    fn cache(&self, digest: Digest, cache: &CacheManifest) -> remote::Result<Seen> {
        if let Some(at) = invalidated(cache) {
            return Ok(Seen::Invalidated { digest, at });
        }
        let config_bytes = cache.config.size;
        // BuildKit does not import a larger one.
        let records = if config_bytes > IMPORT_LIMIT {
            CacheRecords::default()
        } else {
            let bytes = self.blob(&cache.config, IMPORT_LIMIT)?;
            CacheRecords::of_configuration(&bytes).map_err(RemoteError::malformed)?
        };
        let (layers_bytes, created) = (cache.compressed_size(), records.created());
        Ok(Seen::Cache { digest, records, config_bytes, layers_bytes, created })
    }

    /// The inline caches of all platforms, merged as BuildKit merges them.
    fn images(&self, digest: Digest, index: &Index) -> remote::Result<Seen> {
        let mut found: Option<CacheRecords> = None;
        let mut layers_bytes = 0_u64;
        for platform in self.platforms {
            let Some(entry) = index.image_for(platform) else {
                return Ok(Seen::Failed { message: format!("it has no image for `{platform}`") });
            };
            let stored = self.client.manifest(&self.reference.at(entry.digest.clone()))?;
            let Manifest::Image(image) = stored.parse()? else {
                return Err(RemoteError::malformed(format!("{} is no image", entry.digest)));
            };
            layers_bytes = layers_bytes.saturating_add(image.compressed_size());
            if let Some(records) = self.inline(&image)? {
                found = Some(found.unwrap_or_default().with(records));
            }
        }
        Ok(image_with(digest, found, layers_bytes))
    }

    fn inline(&self, image: &ImageManifest) -> remote::Result<Option<CacheRecords>> {
        let bytes = self.blob(&image.config, CONFIGURATION_LIMIT)?;
        let configuration = ImageConfiguration::parse(&bytes).map_err(RemoteError::malformed)?;
        configuration.inline_cache().map_err(RemoteError::malformed)
    }

    fn blob(&self, blob: &Descriptor, limit: u64) -> remote::Result<Vec<u8>> {
        let read = self.client.blob(self.reference, &blob.digest, limit);
        // A manifest without its configuration is damaged, which is not the same as missing.
        read.map_err(|error| match error {
            RemoteError::NotFound => RemoteError::malformed(format!("{} is gone", blob.digest)),
            error => error,
        })
    }
}

/// Looks at `:cache` without its records. Only one as small as an empty cache is read.
fn unread(client: &Client, reference: &Reference) -> remote::Result<Seen> {
    let ManifestHead { digest, media_type, size } = client.head_manifest(reference)?;
    if size.is_some_and(|bytes| bytes > LARGEST_EMPTY) {
        return Ok(match media_type.as_str() {
            media_type::OCI_INDEX | media_type::DOCKER_LIST => Seen::ImageInsteadOfCache { digest },
            _ => Seen::Unread { digest },
        });
    }
    // The tag may have moved since.
    let stored = client.manifest_as_seen(reference)?;
    let digest = stored.digest.clone();
    Ok(match stored.parse()? {
        Manifest::Index(_) => Seen::ImageInsteadOfCache { digest },
        Manifest::Cache(cache) => match invalidated(&cache) {
            Some(at) => Seen::Invalidated { digest, at },
            None => Seen::Unread { digest },
        },
        Manifest::Image(_) | Manifest::Other { .. } => Seen::Unread { digest },
    })
}

fn image_with(digest: Digest, records: Option<CacheRecords>, layers_bytes: u64) -> Seen {
    match records {
        Some(records) => {
            let created = records.created();
            Seen::InlineImage { digest, records, layers_bytes, created }
        }
        None => Seen::PlainImage { digest },
    }
}
