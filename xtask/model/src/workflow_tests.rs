//! The reading of workflows.

use super::*;

const TEXT: &str = "\
name: build
on:
  push:
    branches: [dev, 'feature/**']
  workflow_dispatch:
    inputs:
      promote:
        type: boolean
        default: true
permissions: {}
concurrency:
  group: x
  cancel-in-progress: false
jobs:
  first:
    outputs:
      matrix: ${{ steps.plan.outputs.matrix }}
    steps:
      - id: plan
        run: cargo xtask build
  second:
    needs: first
    if: needs.first.outputs.matrix != ''
    permissions:
      contents: read # why
    strategy:
      matrix: ${{ fromJSON(needs.first.outputs.matrix) }}
    env:
      SERVICE: ${{ matrix.service }}
    steps:
      - uses: a/b@0123 # v1
        with:
          depth: 0
";

#[test]
fn a_workflow_is_read_with_the_lines_of_what_matters() {
    let workflow = Workflow::parse(TEXT).unwrap();
    let push = workflow.trigger("push").unwrap();
    assert_eq!(push.branches, ["dev", "feature/**"]);
    let dispatch = workflow.trigger("workflow_dispatch").unwrap();
    assert_eq!(dispatch.inputs["promote"].text, "true");
    let second = workflow.job("second").unwrap();
    assert_eq!(second.needs[0].text, "first");
    assert_eq!(second.permissions.as_ref().unwrap().scopes["contents"].line, 25);
    let lines: Vec<_> = second.expressions.iter().map(|placed| placed.line).collect();
    assert_eq!(lines, [23, 27, 29]);
    assert_eq!((second.steps[0].line, &*second.steps[0].with["depth"].text), (31, "0"));
    assert_eq!(workflow.job("first").unwrap().steps[0].run.as_ref().unwrap().line, 20);
    assert!(workflow.permissions.unwrap().scopes.is_empty());
}

#[test]
fn the_short_forms_of_on_are_read() {
    let events = |on: &str| {
        let workflow = Workflow::parse(&format!("on: {on}\njobs: {{}}\n")).unwrap();
        workflow.triggers.iter().map(|trigger| trigger.event.clone()).collect::<Vec<_>>()
    };
    assert_eq!(events("push"), ["push"]);
    assert_eq!(events("[push, pull_request]"), ["push", "pull_request"]);
}

#[test]
fn a_misspelt_key_is_named_with_the_nearest_one() {
    let error = Workflow::parse("on: push\njobs:\n  a:\n    time-out: 3\n").unwrap_err();
    assert_eq!(error.line, 4);
    assert!(error.problem.starts_with("there is no key `time-out`"), "{}", error.problem);
}
