//! What stands before the line of a job: the checkout as deep as it needs, what compiles xtask, the
//! Actions cache and the token. Without one of them the line fails, or is slow and says nothing.

use xtask_model::workflow::{Job, Step, Workflow};

use super::jobs::lines;
use super::line::Line;
use super::{File, Judged};

pub(super) fn preparation(file: File<'_>, workflow: &Workflow, job: &Job, judged: &mut Judged) {
    for (step, run) in lines(job) {
        let Ok(line) = Line::parse(&run.text) else { continue };
        let before: Vec<&Step> = job.steps.iter().take_while(|other| *other != step).collect();
        let mut missing = |rule, detail: &str, remedy: &str| {
            let detail = format!("`cargo xtask {}` {detail}", line.command());
            judged.add(file, run.line, rule, detail, remedy);
        };
        let has = |name: &str| before.iter().any(|step| step.is_of(name));
        if !has(".github/actions/setup") {
            let remedy = "add `- uses: $/.github/actions/setup` before it";
            missing("setup", "compiles everything that xtask is made of", remedy);
        }
        if line.reads_layers() && !has(".github/actions/actions-cache") {
            let remedy = "add `- uses: $/.github/actions/actions-cache` before it";
            missing("actions-cache", "gets nothing of the Actions cache", remedy);
        }
        let envs = [&workflow.env, &job.env, &step.env];
        if !line.needs().is_empty() && !envs.iter().any(|env| env.contains_key("GITHUB_TOKEN")) {
            let remedy = "add `GITHUB_TOKEN: ${{ github.token }}` to the `env:` of the job";
            missing("token", "has no token", remedy);
        }
        match before.iter().find(|step| step.is_of("actions/checkout@")) {
            None => missing("checkout", "has no files", "add `- uses: actions/checkout` before it"),
            Some(step) if line.reads_history() => {
                let depth = step.with.get("fetch-depth").map(|depth| depth.text.as_str());
                if depth != Some("0") {
                    let remedy = "add `fetch-depth: 0` to the checkout";
                    missing("depth", "reads commits that are not fetched", remedy);
                }
            }
            Some(_) => {}
        }
    }
}
