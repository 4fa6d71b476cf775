//! What the chosen services need from a builder.

use std::collections::BTreeSet;

use crate::builder::{Needs, Several};
use xtask_model::channel::Channel;
use xtask_model::facts::{Facts, ServiceFacts};
use xtask_model::platform::Platform;
use xtask_model::service::ServiceName;

use super::options::{BuildOptions, Purpose};

/// What the builder must be able to do for the `chosen` services.
pub(super) fn needs(
    facts: &Facts,
    options: &BuildOptions,
    channel: Channel,
    chosen: &[(&ServiceFacts, String)],
) -> Needs {
    if !options.purpose.makes_image() {
        return Needs::default();
    }
    let lists =
        chosen.iter().map(|(service, _)| platforms(facts, options, channel, &service.name).0);
    let several_platforms = match lists.clone().any(|list| list.len() > 1) {
        false => Several::No,
        true if loads(options, channel) => Several::Loaded,
        true => Several::Made,
    };
    let every: BTreeSet<&Platform> = lists.flatten().collect();
    Needs {
        cache_export: channel != Channel::Local,
        attestations: channel.publishes(),
        several_platforms,
        platforms: every.into_iter().cloned().collect(),
    }
}

/// The platforms of a service's image, with the reason. An empty list means the builder's own platform.
pub(super) fn platforms<'f>(
    facts: &'f Facts,
    options: &'f BuildOptions,
    channel: Channel,
    service: &ServiceName,
) -> (&'f [Platform], &'static str) {
    let has_own = facts.config.services.get(service).is_some_and(|own| own.platforms.is_some());
    match facts.config.platforms(service) {
        _ if !options.platforms.is_empty() => (&options.platforms, "set by `--platform`"),
        _ if channel == Channel::Local => (&[], "an image for this machine"),
        _ if loads(options, channel) => (&[], "`--test` starts the image on this machine"),
        [] => (&[], "no platform is configured"),
        platforms if has_own => (platforms, "set in the service's configuration"),
        platforms => (platforms, "set in the configuration"),
    }
}

/// Whether the image is loaded into the engine.
pub(super) fn loads(options: &BuildOptions, channel: Channel) -> bool {
    match channel {
        Channel::Local => true,
        Channel::Pr => options.purpose == Purpose::Test,
        Channel::Dev | Channel::Release => false,
    }
}
