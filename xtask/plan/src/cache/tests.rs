//! Tests of cache tiers: which are offered, which are left out and why, and what is exported.

use base64::Engine;
use expect_test::{Expect, expect};

use xtask_model::channel::Channel;
use xtask_model::record::ExportOutcome;
use xtask_model::service::ServiceName;

use super::*;
use crate::cache::{Export, NotExported, When, after, exports};

fn place() -> CachePlace {
    CachePlace {
        repository: "ghcr.io/o/r/web".parse().unwrap(),
        service: ServiceName::new("web").unwrap(),
    }
}

fn look(tier: CacheTier, seen: Seen) -> TierLook {
    let reference = place().reference(tier);
    TierLook { service: place().service, tier, reference, seen, seconds: 0.25 }
}

/// Records of steps without inputs, each with a result.
fn records(steps: &[&str]) -> CacheRecords {
    let record = |step: &&str| format!(r#"{{"digest":"sha256:{step}","layers":[{{"layer":0}}]}}"#);
    let list = steps.iter().map(record).collect::<Vec<_>>().join(",");
    let text = base64::engine::general_purpose::STANDARD.encode(format!("[{list}]"));
    CacheRecords::of_inline(&text).unwrap()
}

fn digest() -> Digest {
    Digest::new(format!("sha256:{}", "a".repeat(64))).unwrap()
}

fn cache(steps: &[&str]) -> Seen {
    let (records, config_bytes, layers_bytes) = (records(steps), 1000, 2000);
    Seen::Cache { digest: digest(), records, config_bytes, layers_bytes, created: None }
}

fn inline(steps: &[&str]) -> Seen {
    inline_of(steps, None)
}

fn inline_of(steps: &[&str], created: Option<u64>) -> Seen {
    Seen::InlineImage { digest: digest(), records: records(steps), layers_bytes: 3000, created }
}

fn usable(has_index: bool, can_write: bool) -> Seen {
    let url = ServiceUrl::new("https://results.example/").unwrap();
    Seen::GhaUsable { url, can_write, expires: 9, has_index }
}

fn check_sources(looks: &[(CacheTier, Seen)], expected: &Expect) {
    let looks: Vec<_> = looks.iter().map(|(tier, seen)| look(*tier, seen.clone())).collect();
    let shown: Vec<String> = sources(Some(&place()), &looks)
        .iter()
        .map(|plan| {
            let argument = plan.argument.as_deref().map_or(String::new(), |a| format!(" → {a}"));
            format!("{}: {} ({}){argument}", plan.tier, plan.outcome, plan.reason)
        })
        .collect();
    expected.assert_eq(&shown.join("\n"));
}

#[test]
fn only_a_tier_with_new_results_is_offered() {
    check_sources(
        &[
            (CacheTier::Cache, cache(&["a", "b"])),
            (CacheTier::Dev, inline(&["b"])),
            (CacheTier::Latest, inline(&["b", "c"])),
            (CacheTier::Gha, usable(true, true)),
        ],
        &expect![[r"
            :cache: offered (2 results) → type=registry,ref=ghcr.io/o/r/web:cache
            :dev: covered (an earlier tier contains its only result)
            :latest: offered (1 of 2 results are new) → type=registry,ref=ghcr.io/o/r/web:latest
            gha: offered (it has an index for this service) → type=gha,version=2,url_v2=https://results.example/,scope=web,timeout=60s"]],
    );
}

#[test]
fn tiers_older_than_an_invalidation_are_left_out() {
    let invalidated = || Seen::Invalidated { digest: digest(), at: 1_767_323_045 };
    check_sources(
        &[
            (CacheTier::Cache, invalidated()),
            (CacheTier::Dev, inline_of(&["a"], Some(1_767_323_045))),
            (CacheTier::Latest, inline_of(&["b"], Some(1_767_323_044))),
            (CacheTier::Gha, usable(true, true)),
        ],
        &expect![[r"
            :cache: empty (it was invalidated, and nothing was exported since)
            :dev: offered (1 result) → type=registry,ref=ghcr.io/o/r/web:dev
            :latest: inert (older than the invalidation of 2026-01-02T03:04:05Z)
            gha: inert (it may be older than the invalidation of 2026-01-02T03:04:05Z)"]],
    );
    check_sources(
        &[
            (CacheTier::Cache, invalidated()),
            (CacheTier::Dev, Seen::ImageOfSameInputs { digest: digest() }),
            (CacheTier::Latest, Seen::Unread { digest: digest() }),
            (CacheTier::Gha, usable(false, true)),
        ],
        &expect![[r"
            :cache: empty (it was invalidated, and nothing was exported since)
            :dev: inert (it may be older than the invalidation of 2026-01-02T03:04:05Z)
            :latest: inert (it may be older than the invalidation of 2026-01-02T03:04:05Z)
            gha: empty (no entry for this service in the refs this job may read)"]],
    );
    check_exports(
        Channel::Dev,
        &[(CacheTier::Cache, invalidated())],
        &expect![[r"
            WithImage: type=inline
            Always: type=registry,ref=ghcr.io/o/r/web:cache,mode=max,image-manifest=true,oci-mediatypes=true,compression=zstd,ignore-error=true
            not gha: it was not checked"]],
    );
}

#[test]
fn an_image_of_the_same_inputs_suffices() {
    check_sources(
        &[
            (CacheTier::Cache, Seen::Unread { digest: digest() }),
            (CacheTier::Dev, Seen::ImageOfSameInputs { digest: digest() }),
            (CacheTier::Latest, Seen::NotThere),
        ],
        &expect![[r"
            :cache: covered (an image of the same inputs has everything)
            :dev: offered (built from the same inputs) → type=registry,ref=ghcr.io/o/r/web:dev
            :latest: not there (nothing is published there)"]],
    );
}

#[test]
fn an_image_matches_only_with_equal_inputs() {
    let inputs = |tree: &str| Inputs {
        plan: 1,
        tree: tree.to_owned(),
        arguments: std::collections::BTreeMap::new(),
        target: None,
        platforms: Vec::new(),
        bases: std::collections::BTreeMap::new(),
        sbom: false,
    };
    let dev = Tag::new("dev").unwrap();
    let image = |inputs| xtask_model::published::PublishedImage {
        digest: digest(),
        revision: None,
        created: None,
        inputs,
        stand_in: None,
    };
    let check = |published: Option<&str>, like: Option<&Tag>, now: Option<&str>, expected: bool| {
        let images = [(dev.clone(), image(published.map(inputs)))].into();
        let state = PublishedState { images, ..PublishedState::default() };
        let now = now.map(inputs);
        assert_eq!(of_same_inputs(&state, like, now.as_ref()).is_some(), expected);
    };
    let other = Tag::new("latest").unwrap();
    check(Some("a"), Some(&dev), Some("a"), true);
    check(Some("a"), Some(&dev), Some("b"), false);
    check(None, Some(&dev), Some("a"), false);
    check(Some("a"), Some(&dev), None, false);
    check(None, Some(&dev), None, false);
    check(Some("a"), Some(&other), Some("a"), false);
    check(Some("a"), None, Some("a"), false);
}

#[test]
fn an_unusable_tier_is_reported_with_its_reason() {
    check_sources(
        &[
            (CacheTier::Cache, Seen::ImageInsteadOfCache { digest: digest() }),
            (CacheTier::Dev, Seen::PlainImage { digest: digest() }),
            (CacheTier::Latest, Seen::NotThere),
            (CacheTier::Gha, Seen::GhaInert { why: GhaInert::NoToken }),
        ],
        &expect![[r"
            :cache: inert (the tag points to an image, not to a cache)
            :dev: inert (the image has no inline cache: it was pushed without `--cache-to type=inline`)
            :latest: not there (nothing is published there)
            gha: inert (no `ACTIONS_RUNTIME_TOKEN`: GitHub gives it to actions, not to `run:` steps)"]],
    );
    check_sources(
        &[
            (CacheTier::Cache, Seen::Hung { after_seconds: 3.0 }),
            (CacheTier::Dev, Seen::Denied { message: "denied".to_owned() }),
            (CacheTier::Latest, Seen::Failed { message: "connection reset".to_owned() }),
            (CacheTier::Gha, usable(false, true)),
        ],
        &expect![[r"
            :cache: hung (no answer within 3 s; BuildKit would wait forever)
            :dev: denied (denied)
            :latest: failed (connection reset)
            gha: empty (no entry for this service in the refs this job may read)"]],
    );
}

#[test]
fn an_oversized_cache_is_not_offered() {
    let Seen::Cache { digest, records, layers_bytes, created, .. } = cache(&["a"]) else { return };
    let config_bytes = IMPORT_LIMIT + 1;
    let large = Seen::Cache { digest, records, config_bytes, layers_bytes, created };
    check_sources(
        &[(CacheTier::Cache, large)],
        &expect![
            ":cache: inert (its configuration has 1048577 bytes, and BuildKit imports at most 1048576)"
        ],
    );
}

fn check_exports(channel: Channel, looks: &[(CacheTier, Seen)], expected: &Expect) {
    let looks: Vec<_> = looks.iter().map(|(tier, seen)| look(*tier, seen.clone())).collect();
    let (exports, without) = exports(channel, Some(&place()), &looks);
    let with = exports.iter().map(|export| format!("{:?}: {}", export.when, export.argument));
    let without =
        without.iter().map(|NotExported { tier, reason }| format!("not {tier}: {reason}"));
    expected.assert_eq(&with.chain(without).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_published_image_contains_its_cache() {
    check_exports(
        Channel::Dev,
        &[(CacheTier::Cache, cache(&["a"])), (CacheTier::Gha, usable(false, true))],
        &expect![[r"
            WithImage: type=inline
            IfExecuted: type=registry,ref=ghcr.io/o/r/web:cache,mode=max,image-manifest=true,oci-mediatypes=true,compression=zstd,ignore-error=true
            Always: type=gha,version=2,url_v2=https://results.example/,scope=web,timeout=60s,mode=max,ignore-error=true"]],
    );
}

#[test]
fn a_pull_request_writes_only_the_actions_cache() {
    check_exports(
        Channel::Pr,
        &[(CacheTier::Cache, Seen::NotThere), (CacheTier::Gha, usable(true, true))],
        &expect![[r"
            IfExecuted: type=gha,version=2,url_v2=https://results.example/,scope=web,timeout=60s,mode=max,ignore-error=true
            not :cache: a pull request never writes the registry cache"]],
    );
    check_exports(
        Channel::Pr,
        &[(CacheTier::Gha, usable(true, false))],
        &expect![[r"
            not :cache: a pull request never writes the registry cache
            not gha: the token is read-only"]],
    );
}

#[test]
fn a_local_build_writes_no_cache() {
    check_exports(Channel::Local, &[(CacheTier::Gha, usable(true, true))], &expect![""]);
}

#[test]
fn nothing_is_exported_to_a_silent_tier() {
    check_exports(
        Channel::Dev,
        &[(CacheTier::Cache, Seen::Hung { after_seconds: 3.0 }), (CacheTier::Gha, Seen::NotThere)],
        &expect![[r"
            WithImage: type=inline
            not :cache: it does not answer
            not gha: it was not checked"]],
    );
}

#[test]
fn only_a_useful_export_is_made() {
    let check = |when, executed, lost: Option<TierOutcome>, expected: &str| {
        let (argument, reason) = ("to".to_owned(), String::new());
        let export = Export { tier: CacheTier::Cache, when, argument, reason };
        let after = after(&[export], executed, |_| lost);
        assert_eq!(after[0].to.is_some(), after[0].outcome == ExportOutcome::Exported);
        assert_eq!(format!("{}: {}", after[0].outcome, after[0].detail), expected);
    };
    check(When::IfExecuted, false, None, "not needed: no step was executed");
    check(When::IfExecuted, true, None, "exported: a step was executed");
    check(When::Always, false, None, "exported: it was empty");
    check(When::IfExecuted, true, Some(TierOutcome::Hung), "left out: its import hung");
    check(When::Always, true, Some(TierOutcome::Hung), "left out: its import hung");
    check(When::IfExecuted, false, Some(TierOutcome::Failed), "exported: it could not be read");
}
