//! How large a published image is: the whole of it, its own layers, and what it has grown by. All sizes
//! are compressed bytes, which are the same everywhere.

use std::cmp::Reverse;

use xtask_model::image_configuration::ImageConfiguration;
use xtask_model::inspection::{BASE_NAME, Package};
use xtask_model::quantity::bytes;
use xtask_model::reference::{Digest, Tag};

use super::package::Subject;
use super::{Finding, Level};

/// The size against its limit, with the largest layers.
pub(super) fn whole(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Finding {
    let own = subject.config().service(&subject.service.name);
    let limit = own.size_limit.or(subject.config().size_limit).map(|limit| limit.0);
    let layers = layers(subject.package, digest);
    judged(subject, tag, ("size", limit), subject.package.size(digest), layers)
}

/// The size without the layers of the base, where there is a limit for it.
pub(super) fn own(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Option<Finding> {
    let own = subject.config().service(&subject.service.name);
    let limit = own.own_size_limit.or(subject.config().own_size_limit)?.0;
    let base = subject.package.said(digest, BASE_NAME);
    let Some(of_base) = subject.package.base_layers.get(digest) else {
        let detail = match base {
            Some(base) => format!("the layers of {base} cannot be looked at"),
            None => "it does not tell its base".to_owned(),
        };
        let unknown = subject.of(tag, "own size", Level::Unknown, detail);
        return Some(unknown.remedy("cargo xtask doctor"));
    };
    let mut layers = layers(subject.package, digest);
    layers.retain(|layer| !of_base.contains(&layer.digest));
    let size = layers.iter().map(|layer| layer.size).sum();
    Some(judged(subject, tag, ("own size", Some(limit)), size, layers))
}

fn judged(
    subject: &Subject<'_>,
    tag: &Tag,
    (check, limit): (&'static str, Option<u64>),
    size: u64,
    layers: Vec<Layer>,
) -> Finding {
    let largest = largest(layers);
    match limit {
        Some(limit) if size > limit => {
            let detail = format!("{}, more than {}{largest}", bytes(size), bytes(limit));
            let image = subject.package.repository.with_tag(tag.clone());
            subject
                .of(tag, check, Level::Fail, detail)
                .remedy(format!("docker pull {image} && docker history {image}"))
                .hint("move build tools to another stage and install with recommends off, or raise the limit")
        }
        _ => subject.of(tag, check, Level::Pass, format!("{}{largest}", bytes(size))),
    }
}

/// One layer of an image, with the step of a Dockerfile that made it.
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
        // Where the history is shorter than the layers, nobody tells the step.
        let steps =
            steps.map(|entry| step(&entry.created_by)).map(Some).chain(std::iter::repeat(None));
        layers.extend(image.layers.iter().zip(steps).map(|(layer, told)| Layer {
            digest: layer.digest.clone(),
            step: told.unwrap_or_else(|| step("")),
            size: layer.size,
        }));
    }
    layers
}

/// How many of the largest layers are named.
const NAMED: usize = 3;

/// The largest layers, as the end of a sentence.
fn largest(mut layers: Vec<Layer>) -> String {
    layers.sort_by_key(|layer| Reverse(layer.size));
    let mut named: Vec<&Layer> = Vec::new();
    for layer in &layers {
        // Each platform has the same step.
        if named.len() < NAMED && layer.size > 0 && named.iter().all(|one| one.step != layer.step) {
            named.push(layer);
        }
    }
    let named = named.iter().map(|layer| format!("{} are {}", bytes(layer.size), layer.step));
    let named = named.collect::<Vec<_>>().join(", ");
    if named.is_empty() { named } else { format!("; {named}") }
}

/// A step as the Dockerfile has it, without what the builder writes around it.
fn step(created_by: &str) -> String {
    if created_by.is_empty() {
        return "a layer whose step the base does not tell".to_owned();
    }
    let text = created_by.trim_end_matches(" # buildkit");
    let text =
        text.strip_prefix("RUN /bin/sh -c ").map_or(text.to_owned(), |run| format!("RUN {run}"));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("`{short}…`") } else { format!("`{short}`") }
}

/// How much larger `dev` is than the image before it.
pub(super) fn growth(subject: &Subject<'_>, tag: &Tag, digest: &Digest) -> Option<Finding> {
    let previous = subject.package.previous.as_ref()?;
    let before = subject.package.size(subject.package.points.get(previous)?);
    let now = subject.package.size(digest);
    let change = match now.cmp(&before) {
        std::cmp::Ordering::Equal => "as large".to_owned(),
        std::cmp::Ordering::Less => format!("{} smaller", bytes(before - now)),
        std::cmp::Ordering::Greater => format!("{} larger", bytes(now - before)),
    };
    let detail = format!("{change} than the published commit before");
    // A tenth more at once is seldom meant.
    let level = if before > 0 && now > before + before / 10 { Level::Warn } else { Level::Pass };
    let finding = subject.of(tag, "growth", level, detail);
    Some(if level == Level::Warn {
        let image = subject.package.repository.with_tag(tag.clone());
        finding.remedy(format!("docker pull {image} && docker history {image}"))
    } else {
        finding
    })
}
