//! Decides where a build exports its cache, when, and where not.

use serde::Serialize;

use xtask_model::cache_records::IMPORT_LIMIT;
use xtask_model::channel::Channel;
use xtask_model::record::{ExportOutcome, ExportRecord};
use xtask_model::tier::{CachePlace, CacheTier, Seen, TierLook, TierOutcome};

use super::sources::{gha, inert};

/// One export of a build's cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Export {
    pub tier: CacheTier,
    pub when: When,
    /// The value of `--cache-to`.
    pub argument: String,
    pub reason: String,
}

/// A tier that the cache is not exported to, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotExported {
    pub tier: CacheTier,
    pub reason: String,
}

/// When an export happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// As part of the image.
    WithImage,
    /// After the image is pushed, if a step was executed: otherwise the export would only rewrite what the
    /// tier already has.
    IfExecuted,
    /// After the image is pushed, because the tier is empty.
    Always,
}

/// The exports of a build of `channel`, and the tiers without one, each with the reason.
pub fn exports(
    channel: Channel,
    place: Option<&CachePlace>,
    looks: &[TierLook],
) -> (Vec<Export>, Vec<NotExported>) {
    let Some(place) = place.filter(|_| channel != Channel::Local) else {
        return (Vec::new(), Vec::new());
    };
    let seen = |tier| looks.iter().find(|look| look.tier == tier).map(|look| &look.seen);
    let registry = registry_export(channel, place, seen(CacheTier::Cache));
    let gha = gha_export(place, seen(CacheTier::Gha));
    let mut exports = Vec::new();
    let mut without = Vec::new();
    if channel.publishes() {
        exports.push(Export {
            tier: CacheTier::Dev,
            when: When::WithImage,
            argument: "type=inline".to_owned(),
            reason: "makes the image itself a cache tier".to_owned(),
        });
    }
    for (tier, export) in [(CacheTier::Cache, registry), (CacheTier::Gha, gha)] {
        match export {
            Ok(export) => exports.push(export),
            Err(reason) => without.push(NotExported { tier, reason }),
        }
    }
    (exports, without)
}

fn registry_export(
    channel: Channel,
    place: &CachePlace,
    seen: Option<&Seen>,
) -> Result<Export, String> {
    if !channel.publishes() {
        return Err("a pull request never writes the registry cache".to_owned());
    }
    if let Some(Seen::Hung { .. }) = seen {
        return Err("it does not answer".to_owned());
    }
    let reference = place.cache();
    Ok(Export {
        tier: CacheTier::Cache,
        when: when(seen),
        argument: format!(
            "type=registry,ref={reference},mode=max,image-manifest=true,\
             oci-mediatypes=true,compression=zstd,ignore-error=true"
        ),
        reason: "every stage, for the next runner".to_owned(),
    })
}

fn gha_export(place: &CachePlace, seen: Option<&Seen>) -> Result<Export, String> {
    match seen {
        Some(usable @ Seen::GhaUsable { url, can_write: true, .. }) => {
            let scope = place.scope().map_err(|error| error.to_string())?;
            Ok(Export {
                tier: CacheTier::Gha,
                when: when(Some(usable)),
                argument: format!("{},mode=max,ignore-error=true", gha(url, &scope)),
                reason: "for jobs of this ref and of refs based on it".to_owned(),
            })
        }
        Some(Seen::GhaUsable { .. }) => Err("the token is read-only".to_owned()),
        Some(Seen::GhaInert { why }) => Err(inert(why)),
        Some(Seen::Hung { .. }) => Err("the service does not answer".to_owned()),
        Some(Seen::Denied { message } | Seen::Failed { message }) => Err(message.clone()),
        _ => Err("it was not checked".to_owned()),
    }
}

/// The outcome of each export after a build; `executed` says whether the build executed a step. A due export
/// counts as exported. `lost` returns the outcome of a tier that BuildKit could not read.
pub fn after(
    exports: &[Export],
    executed: bool,
    lost: impl Fn(CacheTier) -> Option<TierOutcome>,
) -> Vec<ExportRecord> {
    let after = |export: &Export| {
        let (outcome, detail) = match (lost(export.tier), export.when) {
            (Some(TierOutcome::Hung), _) => (ExportOutcome::LeftOut, "its import hung"),
            // Without the export, the broken cache would break the next build too.
            (Some(_), _) => (ExportOutcome::Exported, "it could not be read"),
            (None, When::Always) => (ExportOutcome::Exported, "it was empty"),
            (None, _) if executed => (ExportOutcome::Exported, "a step was executed"),
            (None, _) => (ExportOutcome::NotNeeded, "no step was executed"),
        };
        let to = (outcome == ExportOutcome::Exported).then(|| export.argument.clone());
        ExportRecord { tier: export.tier, to, outcome, detail: detail.to_owned(), seconds: 0.0 }
    };
    exports.iter().map(after).collect()
}

/// An empty tier is always filled. One that could not be read may be full.
fn when(seen: Option<&Seen>) -> When {
    match seen {
        Some(
            Seen::NotThere
            | Seen::Invalidated { .. }
            | Seen::ImageInsteadOfCache { .. }
            | Seen::GhaUsable { has_index: false, .. },
        ) => When::Always,
        Some(Seen::Cache { records, config_bytes, .. })
            if records.results() == 0 && *config_bytes <= IMPORT_LIMIT =>
        {
            When::Always
        }
        _ => When::IfExecuted,
    }
}
