//! Tests of cache records, on what BuildKit 0.25 wrote for `tests/data/buildkit-cache/Dockerfile`:
//! `first` is a build on an empty engine, `changed` one with a changed `src`, and `changed-cold` the
//! latter again on an empty engine without any cache.

use base64::engine::general_purpose::STANDARD;

use super::*;

fn cache(text: &str) -> CacheRecords {
    CacheRecords::of_configuration(text.as_bytes()).unwrap()
}

fn inline(text: &str) -> CacheRecords {
    CacheRecords::of_inline(&STANDARD.encode(text.trim())).unwrap()
}

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!("../../tests/data/buildkit-cache/", $name))
    };
}

fn check(mine: &CacheRecords, other: &CacheRecords, shared: usize, all: usize) {
    assert_eq!((mine.results_also_in(other).len(), mine.results()), (shared, all));
}

#[test]
fn the_full_cache_covers_the_inline_cache() {
    check(&inline(data!("first.inline.json")), &cache(data!("first.cache.json")), 3, 3);
    check(&cache(data!("first.cache.json")), &inline(data!("first.inline.json")), 3, 7);
    check(&inline(data!("changed.inline.json")), &cache(data!("changed.cache.json")), 3, 3);
}

#[test]
fn a_changed_source_changes_results_but_not_digests() {
    // Only the copy of the unchanged file is in both.
    check(&inline(data!("changed.inline.json")), &cache(data!("first.cache.json")), 1, 3);
}

#[test]
fn a_result_with_more_inputs_covers_fewer() {
    let cold = inline(data!("changed-cold.inline.json"));
    check(&cold, &cache(data!("changed.cache.json")), 3, 3);
    check(&inline(data!("changed.inline.json")), &cold, 1, 3);
}

#[test]
fn files_with_swapped_contents_share_no_result() {
    // The same digests in both; only the links differ.
    let swapped = |one: usize, two: usize| {
        cache(&format!(
            r#"{{"records":[{{"digest":"sha256:c1"}},{{"digest":"sha256:c2"}},
                {{"digest":"sha256:copy1","inputs":[[{{"link":{one}}}]],"layers":[{{"layer":0}}]}},
                {{"digest":"sha256:copy2","inputs":[[{{"link":{two}}}]],"layers":[{{"layer":1}}]}}]}}"#
        ))
    };
    check(&swapped(0, 1), &swapped(0, 1), 2, 2);
    check(&swapped(0, 1), &swapped(1, 0), 0, 2);
}

#[test]
fn joined_caches_keep_their_own_links() {
    let (first, changed) =
        (inline(data!("first.inline.json")), inline(data!("changed-cold.inline.json")));
    let both = first.clone().with(changed.clone());
    assert_eq!(both.results(), 6);
    check(&changed, &both, 3, 3);
    check(&first, &both, 3, 3);
}

#[test]
fn the_newest_result_dates_the_cache() {
    let first = cache(data!("first.cache.json")).created().unwrap();
    let changed = cache(data!("changed.cache.json")).created().unwrap();
    assert!(first < changed, "{first} {changed}");
    let zero = r#"{"records":[{"digest":"sha256:a",
        "layers":[{"layer":0,"createdAt":"0001-01-01T00:00:00Z"}]}]}"#;
    assert_eq!((cache(zero).results(), cache(zero).created()), (1, None));
}

#[test]
fn bytes_that_are_not_a_cache_are_refused() {
    let problem = |text: &str| CacheRecords::of_configuration(text.as_bytes()).unwrap_err();
    let dangling = r#"{"records":[{"digest":"a","inputs":[[{"link":1}]]}]}"#;
    assert!(problem(dangling).to_string().ends_with("a record points to one that does not exist"));
    assert!(problem("1").to_string().starts_with("not BuildKit cache data: "));
    assert!(CacheRecords::of_inline("%").is_err());
    assert_eq!(cache(r#"{"layers":null,"records":null}"#).results(), 0);
}

#[test]
fn comparing_circular_records_ends() {
    let circle = cache(
        r#"{"records":[{"digest":"a","inputs":[[{"link":1}]],"layers":[{"layer":0}]},
        {"digest":"b","inputs":[[{"link":0}]]}]}"#,
    );
    check(&circle, &circle, 1, 1);
}

#[test]
fn records_are_saved_and_read_back() {
    let first = cache(data!("first.cache.json"));
    let saved = serde_json::to_string(&first).unwrap();
    assert_eq!(serde_json::from_str::<CacheRecords>(&saved).unwrap(), first);
}
