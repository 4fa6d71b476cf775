//! Judges the size of a published image: in total, without its base, and its growth. All sizes are
//! compressed bytes, which are the same on every machine.

use std::cmp::{Ordering, Reverse};

use xtask_model::image_configuration::ImageConfiguration;
use xtask_model::inspection::{BASE_NAME, Package};
use xtask_model::quantity::bytes;
use xtask_model::reference::{Digest, Tag};

use super::review::Review;
use crate::finding::{Finding, Level};

/// The total size against its limit, with the largest layers.
pub(super) fn whole(review: &Review<'_>, tag: &Tag, digest: &Digest) -> Finding {
    let own = review.config().service(&review.service.name);
    let limit = own.size_limit.or(review.config().size_limit).map(|limit| limit.0);
    let layers = layers(review.package, digest);
    compared(review, tag, ("size", limit), review.package.size(digest), layers)
}

/// The size without the layers of the base image, if a limit is configured for it.
pub(super) fn own(review: &Review<'_>, tag: &Tag, digest: &Digest) -> Option<Finding> {
    let own = review.config().service(&review.service.name);
    let limit = own.own_size_limit.or(review.config().own_size_limit)?.0;
    let base = review.package.label(digest, BASE_NAME);
    let Some(of_base) = review.package.base_layers.get(digest) else {
        let detail = match base {
            Some(base) => format!("cannot read the layers of {base}"),
            None => "the image does not name its base image".to_owned(),
        };
        let unknown = review.of_tag(tag, "own size", Level::Unknown, detail);
        return Some(unknown.remedy("cargo xtask doctor"));
    };
    let mut layers = layers(review.package, digest);
    layers.retain(|layer| !of_base.contains(&layer.digest));
    let size = layers.iter().map(|layer| layer.size).sum();
    Some(compared(review, tag, ("own size", Some(limit)), size, layers))
}

fn compared(
    review: &Review<'_>,
    tag: &Tag,
    (check, limit): (&'static str, Option<u64>),
    size: u64,
    layers: Vec<Layer>,
) -> Finding {
    let largest = largest(layers);
    match limit {
        Some(limit) if size > limit => {
            let (size, limit) = (bytes(size), bytes(limit));
            let detail = format!("{size} exceeds the limit of {limit}{largest}");
            review.of_tag(tag, check, Level::Fail, detail).remedy(show_layers(review, tag)).hint(
                "move build tools to another stage, install without recommended packages, or raise \
                 the limit",
            )
        }
        _ => review.of_tag(tag, check, Level::Pass, format!("{}{largest}", bytes(size))),
    }
}

/// The command that shows the layers of a published image.
fn show_layers(review: &Review<'_>, tag: &Tag) -> String {
    let image = review.package.repository.with_tag(tag.clone());
    format!("docker pull {image} && docker history {image}")
}

/// One layer of an image, and the Dockerfile step that made it.
struct Layer {
    digest: Digest,
    step: String,
    size: u64,
}

fn layers(package: &Package, digest: &Digest) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (.., image) in package.images(digest) {
        let configuration = package.configuration(&image);
        let steps = configuration.iter().flat_map(ImageConfiguration::layer_steps);
        // The history may have fewer entries than there are layers.
        let steps =
            steps.map(|entry| step(&entry.created_by)).map(Some).chain(std::iter::repeat(None));
        layers.extend(image.layers.iter().zip(steps).map(|(layer, named)| Layer {
            digest: layer.digest.clone(),
            step: named.unwrap_or_else(|| step("")),
            size: layer.size,
        }));
    }
    layers
}

/// The number of layers to name.
const NAMED: usize = 3;

/// The largest layers, as the end of a sentence.
fn largest(mut layers: Vec<Layer>) -> String {
    layers.sort_by_key(|layer| Reverse(layer.size));
    let mut named: Vec<&Layer> = Vec::new();
    for layer in &layers {
        // Every platform has the same steps.
        if named.len() < NAMED && layer.size > 0 && named.iter().all(|one| one.step != layer.step) {
            named.push(layer);
        }
    }
    let named = named.iter().map(|layer| format!("{} {}", bytes(layer.size), layer.step));
    let named = named.collect::<Vec<_>>().join(", ");
    if named.is_empty() { named } else { format!("; largest layers: {named}") }
}

/// A step as the Dockerfile has it, without what the builder adds.
fn step(created_by: &str) -> String {
    if created_by.is_empty() {
        return "(step not recorded)".to_owned();
    }
    let text = created_by.trim_end_matches(" # buildkit");
    let text =
        text.strip_prefix("RUN /bin/sh -c ").map_or(text.to_owned(), |run| format!("RUN {run}"));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("`{short}…`") } else { format!("`{short}`") }
}

/// The size of `dev` against the previous published image.
pub(super) fn growth(review: &Review<'_>, tag: &Tag, digest: &Digest) -> Option<Finding> {
    let previous = review.package.previous.as_ref()?;
    let before = review.package.size(review.package.points.get(previous)?);
    let now = review.package.size(digest);
    let change = match now.cmp(&before) {
        Ordering::Equal => "the same size as".to_owned(),
        Ordering::Less => format!("{} smaller than", bytes(before - now)),
        Ordering::Greater => format!("{} larger than", bytes(now - before)),
    };
    let detail = format!("{change} the previous published commit");
    // Growth of more than a tenth is rarely intended.
    Some(if before > 0 && now > before.saturating_add(before / 10) {
        review.of_tag(tag, "growth", Level::Warn, detail).remedy(show_layers(review, tag))
    } else {
        review.of_tag(tag, "growth", Level::Pass, detail)
    })
}
