use super::*;
use xtask_model::config::Config;
use xtask_model::facts::{Facts, Git};

const TEXT: &str = "\
name: build
on:
  pull_request:
    branches: [main, dev]
  push:
    branches: [dev]
    tags: ['v*.*.*']
  workflow_dispatch:
    inputs:
      version: {}
      promote:
        default: true
jobs:
  push:
    needs: plan
    if: needs.plan.outputs.matrix != '{\"service\":[]}'
    strategy:
      matrix: ${{ fromJSON(needs.plan.outputs.matrix) }}
    env:
      SERVICE: ${{ matrix.service }}
      GITHUB_TOKEN: ${{ github.token }}
    steps:
      - uses: ./.github/actions/setup
      - run: cargo xtask push \"$SERVICE\" --label \"${GITHUB_REF_NAME}\"
  plan:
    if: github.event_name != 'schedule'
    outputs:
      matrix: ${{ steps.plan.outputs.matrix }}
    env:
      BASE: ${{ github.event.pull_request.base.sha }}
    steps:
      - id: plan
        run: cargo xtask build --changed-since \"$BASE\"
      - if: inputs.promote
        run: cargo xtask release
";

fn workflow() -> Workflow {
    Workflow::parse(TEXT).unwrap()
}

fn facts(tags: &[&str]) -> Facts {
    facts_on("feature/x", tags)
}

fn facts_on(branch: &str, tags: &[&str]) -> Facts {
    let config = "[workspace.metadata.images]\nrepository = \"o/r\"\n";
    let git = Git {
        revision: "abc".to_owned(),
        branch: Some(branch.to_owned()),
        tags: tags.iter().map(ToString::to_string).collect(),
        ..Git::default()
    };
    let config = Config::parse("Cargo.toml", config).unwrap();
    Facts { git: Some(git), ..Facts::of_files(config, Vec::new()) }
}

fn told(play: Play, given: Given) -> Result<Told, Failure> {
    Told::new(play, &workflow(), &facts(&["v1.2.3"]), given)
}

fn a_pull_request() -> Told {
    let base = Some(("dev".to_owned(), "base".to_owned()));
    told(Play::Pr, Given { base, ..Given::default() }).unwrap()
}

#[test]
fn the_event_is_that_of_the_play() {
    let check = |told: Told, event: &str, reference: &str| {
        assert_eq!((told.event.as_str(), told.reference.as_str()), (event, reference));
    };
    check(a_pull_request(), "pull_request", "refs/pull/1/merge");
    let on_dev = Told::new(Play::Dev, &workflow(), &facts_on("dev", &[]), Given::default());
    check(on_dev.unwrap(), "push", "refs/heads/dev");
    check(told(Play::Release, Given::default()).unwrap(), "push", "refs/tags/v1.2.3");
    let inputs = BTreeMap::from([("version".to_owned(), "v2.0.0".to_owned())]);
    let by_hand = told(Play::Release, Given { inputs, ..Given::default() }).unwrap();
    assert_eq!(by_hand.inputs["promote"], json!(true));
    assert_eq!(by_hand.inputs["version"], json!("v2.0.0"));
    check(by_hand, "workflow_dispatch", "refs/heads/feature/x");
}

#[test]
fn an_event_that_the_workflow_does_not_listen_to_is_refused() {
    let refused = |payload: Value| {
        let failure = told(Play::Dev, Given { payload: Some(payload), ..Given::default() });
        failure.unwrap_err().message
    };
    assert!(refused(json!({"ref": "refs/heads/main"})).contains("`push` at `refs/heads/main`"));
    assert!(refused(json!({"ref": "refs/tags/v1"})).contains("`push` at `refs/tags/v1`"));
    assert!(refused(json!({"schedule": "x"})).contains("`schedule`"));
    let elsewhere = json!({"number": 3, "pull_request": {"base": {"ref": "old"}}});
    assert!(refused(elsewhere).contains("`pull_request` at `old`"));
    // Nobody publishes a branch as dev by playing the workflow on it.
    let on_another = told(Play::Dev, Given::default()).unwrap_err().message;
    assert!(on_another.contains("`push` at `refs/heads/feature/x`"), "{on_another}");
    let wrong = json!({"inputs": {"versoin": "v1.2.3"}});
    assert!(refused(wrong).contains("no input `versoin`"));
}

#[test]
fn a_fork_reads_the_cache_and_writes_nothing() {
    let mut told = a_pull_request();
    let own = "refs/pull/1/merge".to_owned();
    assert_eq!(told.cache_scopes()[0], (own.clone(), 3));
    assert_eq!(told.cache_scopes().len(), 3);
    told.payload = json!({"pull_request": {
        "base": {"repo": {"full_name": "o/r"}}, "head": {"repo": {"full_name": "x/r"}},
    }});
    assert_eq!(told.cache_scopes()[0], (own, 1));
}

#[test]
fn jobs_come_after_those_that_they_need() {
    let workflow = workflow();
    let ids: Vec<_> = order(&workflow).unwrap().iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids, ["plan", "push"]);
    let circle = "on: push\njobs:\n  a: {needs: b}\n  b: {needs: a}\n";
    let failure = order(&Workflow::parse(circle).unwrap()).unwrap_err();
    assert_eq!(failure.message, "the jobs `a`, `b` wait for what never comes");
}

fn after_plan(matrix: &str, succeeded: bool) -> (Contexts, BTreeMap<String, Ended>) {
    let outputs = BTreeMap::from([("matrix".to_owned(), matrix.to_owned())]);
    let ended = BTreeMap::from([("plan".to_owned(), Ended { succeeded, outputs })]);
    let workflow = workflow();
    let needs = needs(workflow.job("push").unwrap(), &ended);
    (a_pull_request().contexts().with("needs", needs), ended)
}

#[test]
fn a_job_runs_once_for_each_value_of_the_matrix_that_an_earlier_one_gave() {
    let workflow = workflow();
    let job = workflow.job("push").unwrap();
    let labels = |matrix: &str| {
        let (contexts, ended) = after_plan(matrix, true);
        match decide(job, &contexts, Some(&ended)).unwrap() {
            Decision::Run { instances, .. } => {
                instances.into_iter().filter_map(|one| one.label).collect()
            }
            Decision::Skip(reason) => vec![format!("skip: {reason}")],
        }
    };
    assert_eq!(labels(r#"{"service":["a","b"]}"#), ["a", "b"]);
    assert_eq!(labels(r#"{"service":["a","b"],"os":[1,2]}"#).len(), 4);
    assert!(labels(r#"{"service":[]}"#)[0].ends_with("does not hold"));
    let (contexts, ended) = after_plan("", false);
    let decision = decide(job, &contexts, Some(&ended)).unwrap();
    assert_eq!(decision, Decision::Skip("`plan` did not succeed".to_owned()));
}

#[test]
fn what_comes_later_stands_in_a_plan_as_it_is_written() {
    let workflow = workflow();
    let (job, told) = (workflow.job("push").unwrap(), a_pull_request());
    let contexts = told.contexts();
    let Decision::Run { instances, condition } = decide(job, &contexts, None).unwrap() else {
        panic!("it runs");
    };
    assert!(condition.unwrap().starts_with("needs.plan"));
    assert_eq!(instances[0].matrix, None);
    let none = BTreeMap::new();
    let plan = step(&workflow, job, &job.steps[1], &told, &contexts, &none).unwrap();
    let StepPlan::Run { line, words, settings } = plan else { panic!("{plan:?}") };
    assert_eq!(words, ["push", "$SERVICE", "--label", "1/merge"]);
    assert_eq!(line, r#"cargo xtask push "$SERVICE" --label "${GITHUB_REF_NAME}""#);
    assert_eq!(settings["SERVICE"], Setting::Later("${{ matrix.service }}".to_owned()));
}

#[test]
fn a_line_gets_its_variables_and_no_plan_holds_a_secret() {
    let workflow = workflow();
    let (job, told) = (workflow.job("push").unwrap(), a_pull_request());
    let contexts = told.contexts().with("matrix", json!({"service": "web"}));
    let given = BTreeMap::from([("FROM_A_STEP".to_owned(), "x".to_owned())]);
    let plan = step(&workflow, job, &job.steps[1], &told, &contexts, &given).unwrap();
    let StepPlan::Run { line, words, settings } = plan else { panic!("{plan:?}") };
    assert_eq!(words, ["push", "web", "--label", "1/merge"]);
    assert_eq!(line, "cargo xtask push web --label 1/merge");
    assert_eq!(settings["GITHUB_TOKEN"], Setting::Secret("GITHUB_TOKEN".to_owned()));
    assert_eq!(settings["FROM_A_STEP"], Setting::Value("x".to_owned()));
    assert_eq!(settings["GITHUB_EVENT_NAME"], Setting::Value("pull_request".to_owned()));
    let first = step(&workflow, job, &job.steps[0], &told, &contexts, &given).unwrap();
    assert_eq!(first, StepPlan::Action { uses: "./.github/actions/setup".to_owned() });
}

#[test]
fn outputs_are_those_of_the_steps() {
    let workflow = workflow();
    let (job, told) = (workflow.job("plan").unwrap(), a_pull_request());
    let steps = json!({"plan": {"outputs": {"matrix": "{}"}}});
    let contexts = told.contexts().with("steps", steps);
    assert_eq!(outputs(job, &contexts).unwrap()["matrix"], "{}");
    let none = BTreeMap::new();
    let plan = step(&workflow, job, &job.steps[0], &told, &contexts, &none).unwrap();
    assert!(matches!(plan, StepPlan::Run { words, .. } if words[2] == "base"));
    let plan = step(&workflow, job, &job.steps[1], &told, &contexts, &none).unwrap();
    assert_eq!(plan, StepPlan::Skip { reason: "`inputs.promote` does not hold".to_owned() });
}

#[test]
fn what_github_alone_honours_is_refused() {
    let check = |from: &str, to: &str, expected: &str| {
        let workflow = Workflow::parse(&TEXT.replacen(from, to, 1)).unwrap();
        assert_eq!(playable(&workflow).unwrap_err().message, expected);
    };
    assert_eq!(playable(&workflow()), Ok(()));
    check("jobs:\n", "defaults: {}\njobs:\n", "line 13: `defaults` is honoured by GitHub alone");
    check(
        "    needs: plan\n",
        "    container: x\n",
        "line 15: `container` is honoured by GitHub alone",
    );
    check(
        "      - id: plan\n",
        "      - id: plan\n        working-directory: x\n",
        "line 33: `working-directory` is honoured by GitHub alone",
    );
}

#[test]
fn what_cannot_be_played_is_named_with_its_line() {
    let check = |from: &str, to: &str, expected: &str| {
        let workflow = Workflow::parse(&TEXT.replacen(from, to, 1)).unwrap();
        let (job, told) = (workflow.job("push").unwrap(), a_pull_request());
        let contexts = told.contexts().with("matrix", json!({"service": "web"}));
        let failed = step(&workflow, job, &job.steps[1], &told, &contexts, &BTreeMap::new());
        assert_eq!(failed.unwrap_err().message, expected, "{to}");
    };
    check(
        "matrix.service",
        "hashFiles('x')",
        "line 20: the function `hashFiles` with 1 arguments is not known here",
    );
    check(
        "${{ github.token }}",
        "x-${{ github.token }}",
        "line 21: a secret inside another text is not known here",
    );
    check(
        "\"$SERVICE\"",
        "\"$GITHUB_TOKEN\"",
        "line 24: `$GITHUB_TOKEN` would put a secret into an argument",
    );
    check("\"$SERVICE\"", "\"$OTHER\"", "line 24: nothing sets the variable `OTHER`");
    check("cargo xtask push", "docker push", "line 24: it is no `cargo xtask` line");
}
