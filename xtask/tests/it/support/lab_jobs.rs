//! The lines of a workflow, run in the lab.

use super::events::{Event, Texts};
use super::jobs::{self, Ended, Line, WorkflowRun};
use super::lab::Lab;
use super::workflows::workflow;
use super::{Fixture, Ran};

/// Runs the lines that an event starts in a workflow of the fixture's own repository.
pub fn run(fixture: &Fixture, lab: &Lab, name: &str, event: &Event) -> WorkflowRun {
    let workflow = workflow(fixture.root(), name);
    jobs::run(fixture, &workflow, event, &mut |line| execute(fixture, lab, event, &line))
}

/// Runs a line with the files that GitHub gives to a step.
fn execute(fixture: &Fixture, lab: &Lab, event: &Event, line: &Line) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let arguments: Vec<&str> = line.words.iter().map(String::as_str).chain(["--lab"]).collect();
    let mut command = fixture.command(&arguments);
    command.envs(&line.variables);
    let written = ["GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"];
    for name in written.iter().chain(&["GITHUB_EVENT_PATH"]) {
        std::fs::write(file(name), "").unwrap();
        command.env(name, file(name));
    }
    std::fs::write(file("GITHUB_EVENT_PATH"), event.payload.to_string()).unwrap();
    if line.has_actions_cache {
        command.envs(lab.actions_of(&event.scopes));
    }
    let ran = Ran::from(command.output().unwrap());
    let [_, outputs, summary] = written.map(|name| std::fs::read_to_string(file(name)).unwrap());
    Ended { ran, outputs: pairs(&outputs), summary }
}

/// Entries of the form `name<<DELIMITER`, with the lines of the value up to the delimiter.
fn pairs(text: &str) -> Texts {
    let mut pairs = Texts::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (name, delimiter) = line.split_once("<<").unwrap();
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
        pairs.insert(name.to_owned(), value.join("\n"));
    }
    pairs
}
