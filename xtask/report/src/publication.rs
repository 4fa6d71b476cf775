//! Publications: the plan as a script, the result as a table, and the summary of a GitHub job.

use std::fmt::Write;

use xtask_model::publication::Published;
use xtask_model::record::Record;
use xtask_plan::publish::{Action, PublishPlan, ServicePublication};

use super::plan::ShellPlace;
use super::quantity::{bytes, percent, seconds};
use super::steps::steps;
use super::table::{Cell, Table};
use super::{one_line, shortened};

/// The plan as a script: every step is a comment, with the commands of those that run one.
pub fn script(plan: &PublishPlan, place: &ShellPlace<'_>) -> String {
    let mut text = String::new();
    for choice in &plan.choices {
        super::plan::comment(&mut text, choice);
    }
    if let Some(release) = &plan.release {
        text.push_str(&super::release::explained(release));
    }
    if !plan.first.is_empty() {
        text.push_str("\n# first\n");
        steps(&mut text, &plan.first, None);
    }
    if plan.services.iter().any(|service| service.build.is_some()) {
        place.enter(&mut text);
        if let Some(create) = &plan.builder.create {
            let _ = writeln!(text, "\n{}", create.script());
        }
    }
    for service in &plan.services {
        let _ = writeln!(text, "\n# {}", explained(service).replace('\n', "\n# "));
        if let Some(build) = &service.build {
            super::plan::reasons(&mut text, build);
        }
        steps(&mut text, &service.steps, Some(service));
    }
    if !plan.finally.is_empty() {
        text.push_str("\n# when all images are published\n");
        steps(&mut text, &plan.finally, None);
    }
    text
}

/// What happens to a service, and why.
pub fn explained(service: &ServicePublication) -> String {
    let what = match &service.action {
        Action::Build { .. } => "build".to_owned(),
        Action::Retag { digest, .. } => format!("tag {}", digest.short()),
        Action::Promote { digest, .. } => format!("promote {}", digest.short()),
        Action::Finish { digest, .. } => format!("finish {}", digest.short()),
        Action::Warm { digest, .. } => {
            format!("finish {}, and fill the cache", digest.short())
        }
    };
    let mut text = format!("{}: {what} ({})", service.service, service.action.reason());
    if let Action::Build { changes, .. } = &service.action {
        for change in changes {
            let _ = write!(text, "\n  {change}");
        }
    }
    text
}

/// The result: one row for each service, and below them the cache tiers of those that were built.
pub fn text(results: &[Published], width: usize) -> String {
    let records = results.iter().filter_map(|published| published.record.as_ref());
    table(results).text(width) + &super::tiers::below(records, width)
}

/// One row for each service.
fn table(results: &[Published]) -> Table {
    let mut table =
        Table::new(["service", "result", ">cached", ">seconds", ">size", "image", "tags"]);
    for published in results {
        let tags = published.tags.iter().filter(|tag| tag.set).map(|result| result.tag.as_str());
        table.row([
            published.service.as_str().into(),
            published.result.to_string().into(),
            published.record.as_ref().map_or("-".to_owned(), cached).into(),
            seconds(published.seconds).into(),
            published.size.map_or("-".to_owned(), bytes).into(),
            Cell::digest(published.digest.as_ref()),
            tags.collect::<Vec<_>>().join(" ").into(),
        ]);
    }
    table
}

fn cached(record: &Record) -> String {
    format!("{}/{}", record.totals.cached, record.totals.total)
}

/// The number of slowest steps in a summary.
const SLOWEST: usize = 5;

/// The page that a GitHub job shows: published images, cache tiers, and where the time went.
pub fn summary(results: &[Published]) -> String {
    let mut text = String::from("## Images\n\n");
    let mut images =
        Table::new(["service", "result", "reason", ">size", ">change", "digest", "tags"]);
    for published in results {
        let tags: Vec<_> =
            published.tags.iter().map(|result| format!("`{}`", result.tag)).collect();
        images.row([
            published.service.to_string(),
            published.result.to_string(),
            published.error.clone().unwrap_or_else(|| published.reason.clone()),
            published.size.map_or("-".to_owned(), bytes),
            change(published),
            published.digest.as_ref().map_or("-".to_owned(), |digest| format!("`{digest}`")),
            tags.join(" "),
        ]);
    }
    text.push_str(&images.markdown());
    for published in results {
        if let Some(record) = &published.record {
            build(&mut text, record);
        }
    }
    text
}

fn change(published: &Published) -> String {
    match (published.size, published.size_before) {
        (Some(now), Some(before)) if now >= before => format!("+{}", bytes(now - before)),
        (Some(now), Some(before)) => format!("−{}", bytes(before - now)),
        _ => "-".to_owned(),
    }
}

pub(super) fn build(text: &mut String, record: &Record) {
    let hits = record.totals.hit_rate().map_or("-".to_owned(), percent);
    let _ = writeln!(
        text,
        "\n### {}\n\n{} of {} steps from cache ({hits}), {}, {} pulled\n",
        record.service,
        record.totals.cached,
        record.totals.total,
        seconds(record.seconds),
        bytes(record.bytes_pulled)
    );
    text.push_str(&super::tiers::table(std::iter::once(record)).markdown());
    let mut slowest: Vec<_> = record.steps.iter().filter(|step| !step.cached).collect();
    slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    slowest.truncate(SLOWEST);
    if slowest.is_empty() {
        return;
    }
    text.push('\n');
    let mut steps = Table::new(["slowest steps", ">seconds"]);
    for step in &slowest {
        steps.row([shortened(&one_line(&step.name), 80), seconds(step.seconds)]);
    }
    text.push_str(&steps.markdown());
    text.push_str(&gantt(record));
}

/// The steps that were executed, against time, as a mermaid diagram.
fn gantt(record: &Record) -> String {
    let mut text = format!(
        "\n```mermaid\ngantt\n    title {}\n    dateFormat x\n    axisFormat %M:%S\n",
        record.service
    );
    for step in record.steps.iter().filter(|step| !step.cached) {
        let Some(started) = step.started else { continue };
        // Colons and semicolons end a name in mermaid's grammar, and a hash starts an entity.
        let name: String = shortened(&one_line(&step.name), 60)
            .chars()
            .map(|c| if matches!(c, ':' | ';' | '#' | ',') { ' ' } else { c })
            .collect();
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a build")]
        let milliseconds = |seconds: f64| (seconds * 1000.0).round() as i64;
        let end = milliseconds(started + step.seconds).max(milliseconds(started) + 1);
        let _ = writeln!(text, "    {name} :{}, {end}", milliseconds(started));
    }
    text.push_str("```\n");
    text
}

/// The outputs for later steps of a job: digest, pinned reference and tags of a service. A service that was not
/// published has none.
pub fn outputs(published: &Published) -> Vec<(String, String)> {
    let (Some(digest), Some(first)) = (&published.digest, published.tags.first()) else {
        return Vec::new();
    };
    // The name of an output must not contain a dot.
    let service = published.service.as_str().replace('.', "_");
    let reference = published.repository.with_tag(first.tag.clone());
    let tags: Vec<_> = published.tags.iter().map(|result| result.tag.as_str()).collect();
    vec![
        (format!("{service}-digest"), digest.to_string()),
        (format!("{service}-reference"), format!("{reference}@{digest}")),
        (format!("{service}-tags"), tags.join("\n")),
    ]
}
