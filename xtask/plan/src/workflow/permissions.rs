//! What a job may: no more than its line needs, and no less, and nothing at all of a pull request that
//! would write.

use xtask_model::workflow::{Job, Permissions, Workflow};

use super::jobs::lines;
use super::line::{Line, Need};
use super::{File, Judged};

/// Each job has the least it needs and says why.
pub(super) fn permissions(file: File<'_>, workflow: &Workflow, job: &Job, judged: &mut Judged) {
    let known: Vec<Line> = lines(job).filter_map(|(_, run)| Line::parse(&run.text).ok()).collect();
    // What a line that cannot be read needs is not known.
    let are_all_known = known.len() == lines(job).count();
    let of_pull_requests =
        workflow.triggers.iter().any(|trigger| trigger.event.starts_with("pull_request"));
    if of_pull_requests && let Some(line) = known.iter().find(|line| line.publishes()) {
        let detail = format!("a pull request would run `cargo xtask {}`", line.command());
        judged.add(file, job.line, "pull-request", detail, "move the job to another workflow");
    }
    let Some(permissions) = &job.permissions else {
        let detail = format!("the job `{}` does not say what it may", job.id);
        judged.add(file, job.line, "permissions", detail, "add `permissions:` with what it needs");
        return;
    };
    if of_pull_requests {
        writes(file, permissions, judged);
    } else if are_all_known {
        too_much(file, job, permissions, &known, judged);
    }
    too_little(file, job, permissions, &known, judged);
    reasons(file, permissions, judged);
}

/// What a pull request must not have.
fn writes(file: File<'_>, permissions: &Permissions, judged: &mut Judged) {
    for (scope, level) in permissions.scopes.iter().filter(|(_, level)| level.text == "write") {
        let detail = format!("a pull request could write {scope}");
        let remedy = format!("remove `{scope}: write`");
        judged.add(file, level.line, "pull-request", detail, remedy);
    }
}

fn too_much(
    file: File<'_>,
    job: &Job,
    permissions: &Permissions,
    lines: &[Line],
    judged: &mut Judged,
) {
    for (scope, level) in &permissions.scopes {
        let is_needed = match (scope.as_str(), level.text.as_str()) {
            ("contents" | "packages", "read") => true,
            ("id-token", "write") => lines.iter().any(|line| line.has("--sign")),
            (scope, level) => lines
                .iter()
                .flat_map(Line::needs)
                .any(|need| (need.scope, need.level) == (scope, level)),
        };
        if !is_needed {
            let detail = format!("nothing in the job `{}` needs `{scope}: {}`", job.id, level.text);
            let remedy = format!("remove `{scope}: {}`", level.text);
            judged.add(file, level.line, "permissions", detail, remedy);
        }
    }
}

fn too_little(
    file: File<'_>,
    job: &Job,
    permissions: &Permissions,
    lines: &[Line],
    judged: &mut Judged,
) {
    let checks_out = job.steps.iter().any(|step| step.is_of("actions/checkout@"));
    let read =
        checks_out.then_some(("actions/checkout", Need { scope: "contents", level: "read" }));
    let of_lines =
        lines.iter().flat_map(|line| line.needs().into_iter().map(|need| ("the line", need)));
    for (who, Need { scope, level }) in read.into_iter().chain(of_lines) {
        let given = permissions.scopes.get(scope).map(|given| given.text.as_str());
        if permissions.all.is_none() && given != Some("write") && given != Some(level) {
            let detail = format!("{who} of the job `{}` needs `{scope}: {level}`", job.id);
            let remedy = format!("add `{scope}: {level}` to the `permissions:` of the job");
            judged.add(file, permissions.line, "permissions", detail, remedy);
        }
    }
}

fn reasons(file: File<'_>, permissions: &Permissions, judged: &mut Judged) {
    if let Some(all) = &permissions.all {
        let detail = format!("`{all}` is more than any job needs");
        judged.add(file, permissions.line, "permissions", detail, "name each permission");
    }
    for (scope, level) in &permissions.scopes {
        if file.comment(level.line).is_empty() {
            let detail = format!("`{scope}: {}` does not say what it is for", level.text);
            judged.add(file, level.line, "permissions", detail, "add the reason as a comment");
        }
    }
}
