//! Which cache tiers a build is offered: each is either passed to buildx or named with the reason why not.
//!
//! BuildKit reads all tiers in no fixed order and takes the newest record. So a build gets only tiers that
//! answer and add results; that gives a real order and correct figures.

use serde::Serialize;

use xtask_model::cache_records::{CacheRecords, IMPORT_LIMIT};
use xtask_model::inputs::Inputs;
use xtask_model::published::PublishedState;
use xtask_model::reference::{Digest, Reference, Tag};
use xtask_model::tier::{CachePlace, CacheScope, CacheTier, GhaInert, Seen, ServiceUrl};
use xtask_model::tier::{TierLook, TierOutcome};

/// How one build uses a tier.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TierPlan {
    pub tier: CacheTier,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    pub outcome: TierOutcome,
    pub reason: String,
    /// How long reading it took.
    pub seconds: f64,
    /// The value of `--cache-from`, if it is offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argument: Option<String>,
}

/// How a build uses each tier, in the order of the tiers.
pub fn sources(place: Option<&CachePlace>, looks: &[TierLook]) -> Vec<TierPlan> {
    let mut offered: Vec<&CacheRecords> = Vec::new();
    let mut plans = Vec::new();
    let invalidated = looks.iter().find_map(|look| match look.seen {
        Seen::Invalidated { at, .. } => Some(at),
        _ => None,
    });
    for look in looks {
        let (outcome, reason, argument) = match outdated(&look.seen, invalidated) {
            Some(reason) => (TierOutcome::Inert, reason, None),
            None => source(place, look, &mut offered),
        };
        let TierLook { tier, reference, seconds, .. } = look;
        let (tier, reference) = (*tier, reference.clone());
        plans.push(TierPlan { tier, reference, outcome, reason, seconds: *seconds, argument });
    }
    plans
}

/// Why a tier is left out after `:cache` was invalidated at this second since 1970, until the next export. A
/// tier of unknown age may be older.
fn outdated(seen: &Seen, invalidated: Option<u64>) -> Option<String> {
    let at = invalidated?;
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at);
    let time = humantime::format_rfc3339_seconds(time);
    match seen {
        Seen::InlineImage { created: Some(created), .. } if *created >= at => None,
        Seen::InlineImage { created: Some(_), .. } => {
            Some(format!("older than the invalidation of {time}"))
        }
        Seen::InlineImage { .. }
        | Seen::ImageOfSameInputs { .. }
        | Seen::Unread { .. }
        | Seen::GhaUsable { has_index: true, .. } => {
            Some(format!("it may be older than the invalidation of {time}"))
        }
        _ => None,
    }
}

fn source<'l>(
    place: Option<&CachePlace>,
    look: &'l TierLook,
    offered: &mut Vec<&'l CacheRecords>,
) -> (TierOutcome, String, Option<String>) {
    let no = |outcome, reason: &str| (outcome, reason.to_owned(), None);
    match &look.seen {
        Seen::Cache { config_bytes, .. } if *config_bytes > IMPORT_LIMIT => {
            no(TierOutcome::Inert, &nearly_full(*config_bytes).unwrap_or_default())
        }
        Seen::Cache { records, .. } | Seen::InlineImage { records, .. } => {
            registry_source(look, records, offered)
        }
        Seen::Invalidated { .. } => {
            no(TierOutcome::Empty, "it was invalidated, and nothing was exported since")
        }
        Seen::ImageOfSameInputs { .. } => match &look.reference {
            Some(reference) => (
                TierOutcome::Offered,
                "built from the same inputs".to_owned(),
                Some(registry(reference)),
            ),
            None => no(TierOutcome::Failed, "it has no reference"),
        },
        Seen::Unread { .. } => {
            no(TierOutcome::Covered, "an image of the same inputs has everything")
        }
        Seen::PlainImage { .. } => no(
            TierOutcome::Inert,
            "the image has no inline cache: it was pushed without `--cache-to type=inline`",
        ),
        Seen::ImageInsteadOfCache { .. } => {
            no(TierOutcome::Inert, "the tag points to an image, not to a cache")
        }
        Seen::NotThere => no(TierOutcome::NotThere, "nothing is published there"),
        Seen::Denied { message } => no(TierOutcome::Denied, message),
        Seen::Failed { message } => no(TierOutcome::Failed, message),
        Seen::Hung { after_seconds } => no(
            TierOutcome::Hung,
            &format!("no answer within {after_seconds:.0} s; BuildKit would wait forever"),
        ),
        Seen::GhaUsable { has_index: false, .. } => {
            no(TierOutcome::Empty, "no entry for this service in the refs this job may read")
        }
        Seen::GhaUsable { url, .. } => match place.and_then(|place| place.scope().ok()) {
            Some(scope) => {
                let argument = gha(url, &scope);
                (
                    TierOutcome::Offered,
                    "it has an index for this service".to_owned(),
                    Some(argument),
                )
            }
            None => no(TierOutcome::Inert, "the repository is not known"),
        },
        Seen::GhaInert { why } => no(TierOutcome::Inert, &inert(why)),
    }
}

fn registry_source<'l>(
    look: &TierLook,
    records: &'l CacheRecords,
    offered: &mut Vec<&'l CacheRecords>,
) -> (TierOutcome, String, Option<String>) {
    let results = records.results();
    let Some(reference) = &look.reference else {
        return (TierOutcome::Failed, "it has no reference".to_owned(), None);
    };
    if results == 0 {
        return (TierOutcome::Empty, "it contains no result".to_owned(), None);
    }
    let mut held = std::collections::BTreeSet::new();
    for earlier in offered.iter() {
        held.extend(records.results_also_in(earlier));
    }
    if held.len() == results {
        let reason = match results {
            1 => "an earlier tier contains its only result".to_owned(),
            _ => format!("earlier tiers contain all {results} results"),
        };
        return (TierOutcome::Covered, reason, None);
    }
    offered.push(records);
    let reason = match results - held.len() {
        1 if results == 1 => "1 result".to_owned(),
        new if new == results => format!("{results} results"),
        new => format!("{new} of {results} results are new"),
    };
    (TierOutcome::Offered, reason, Some(registry(reference)))
}

fn registry(reference: &Reference) -> String {
    format!("type=registry,ref={reference}")
}

/// The published image of the same inputs, if there is one. Each step of this build was a step of that build,
/// so its inline cache has everything.
pub fn of_same_inputs<'i>(
    state: &'i PublishedState,
    like: Option<&Tag>,
    inputs: Option<&Inputs>,
) -> Option<&'i Digest> {
    let image = state.images.get(like?)?;
    (image.inputs.as_ref() == Some(inputs?)).then_some(&image.digest)
}

/// The import attributes of the Actions cache. The address is passed because buildx takes it from
/// the environment only when another variable says so; the token always comes from there.
pub(super) fn gha(url: &ServiceUrl, scope: &CacheScope) -> String {
    format!("type=gha,version=2,url_v2={url},scope={scope},timeout=60s")
}

/// Why the Actions cache cannot be used, in words.
pub fn inert(why: &GhaInert) -> String {
    match why {
        GhaInert::NoToken => {
            "no `ACTIONS_RUNTIME_TOKEN`: GitHub gives it to actions, not to `run:` steps"
        }
        GhaInert::NoUrl => "no `ACTIONS_RESULTS_URL`",
        GhaInert::Expired { .. } => "the token has expired",
        GhaInert::NotYet { .. } => "the token is not valid yet",
        GhaInert::NoScope => "the token gives access to no cache",
        GhaInert::Malformed { problem } => return format!("invalid token or address: {problem}"),
    }
    .to_owned()
}

/// A cache configuration with more bytes than this will soon be too large to import.
pub const NEARLY_FULL: u64 = 800 << 10;

/// A warning about a cache configuration that grows too large.
pub fn nearly_full(config_bytes: u64) -> Option<String> {
    (config_bytes > NEARLY_FULL).then(|| {
        format!(
            "its configuration has {config_bytes} bytes, and BuildKit imports at most {IMPORT_LIMIT}"
        )
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
