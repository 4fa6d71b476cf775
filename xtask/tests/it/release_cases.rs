//! The cases of a release: options and facts, and the resulting version and tags, each with its reason.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use xtask::model::config::Config;
use xtask::model::facts::{Engine, Environment, Facts, Git, GitHubJob, SCHEMA};
use xtask::model::failure::{Exit, Failure};
use xtask::plan::release::{Asked, NextVersion, ReleasePlan, plan, version};

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn facts(case: &Value) -> Facts {
    let tags = case["checked_out"].as_array().into_iter().flatten().filter_map(text).collect();
    let git = Git {
        revision: "c".to_owned(),
        time: 0,
        tags,
        remote: None,
        shallow: false,
        dirty: Vec::new(),
        trees: BTreeMap::new(),
        since: None,
    };
    let job = text(&case["job"]).map(|reference| GitHubJob { reference, ..GitHubJob::default() });
    Facts {
        schema: SCHEMA,
        config: Config::default(),
        services: Vec::new(),
        git: Some(git),
        environment: Environment { github: job, ..Environment::default() },
        engine: Engine::Unasked,
        lab: None,
        tiers: BTreeMap::new(),
        published: BTreeMap::new(),
        release: Some(serde_json::from_value(case["release"].clone()).unwrap()),
    }
}

fn asked(case: &Value) -> Asked {
    let next = case["next"].as_str().map(|kind| match kind {
        "major" => NextVersion::Major,
        "minor" => NextVersion::Minor,
        "patch" => NextVersion::Patch,
        _ => NextVersion::Auto,
    });
    Asked {
        version: case["version"].as_str().map(|text| version(text).unwrap()),
        next,
        ..Asked::default()
    }
}

/// The decision, in the form of the cases.
fn decided(result: Result<ReleasePlan, Failure>) -> Value {
    let plan = match result {
        Ok(plan) => plan,
        Err(failure) if failure.exit == Exit::Refused => {
            return json!({ "refused": failure.message });
        }
        Err(failure) => return json!({ "wrong": failure.message }),
    };
    let tags = plan.request(false, false).unwrap().tags;
    let exact: Vec<String> = tags.exact.iter().map(ToString::to_string).collect();
    assert_eq!(exact, [plan.name(), "c".to_owned()]);
    let moving: Vec<_> = plan.floating.iter().filter(|tag| tag.moves).map(|tag| &tag.tag).collect();
    assert_eq!(tags.floating.iter().collect::<Vec<_>>(), moving);
    let word = |moves| if moves { "moves" } else { "stays" };
    let floating: Vec<String> = plan
        .floating
        .iter()
        .map(|tag| format!("{} {}: {}", tag.tag, word(tag.moves), tag.reason))
        .collect();
    json!({
        "version": plan.version, "reason": plan.reason, "git_tag": plan.git_tag,
        "floating": floating,
    })
}

#[test]
fn every_case_is_decided_as_it_should_be() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../cases/release.json")).unwrap();
    assert_eq!(cases.len(), 43);
    for case in cases {
        let facts = facts(&case);
        let decided = decided(plan(&facts, &asked(&case)));
        assert_eq!(decided, case["expect"], "{}", case["title"]);
    }
}
