//! `cargo xtask release`: publishes a version under its tags, and creates the GitHub release.

mod announcement;
mod gather;
mod promotion;

use anyhow::Result;

use crate::cli::{self, Format};
use crate::model::channel::Channel;
use crate::model::facts::Facts;
use crate::model::failure::Exit;
use crate::outside::gather::Wanted;
use crate::outside::{git_tags, terminal};
use crate::plan::build::BuildOptions;
use crate::plan::publish::{Moves, Request, Wishes, dev_tag};
use crate::plan::release::{self, Asked, Explanation, GitTag, ReleasePlan};
use crate::report;

use super::Start;
use super::gate;
use super::publication::Publication;

pub fn run(mut start: Start, options: &cli::Release) -> Result<Exit> {
    let version = options.version.as_deref().map(release::version).transpose()?;
    let asked = Asked { version, next: options.next };
    start.enter_lab()?;
    let facts = start.facts(&Wanted::default())?;
    let client = gate::client(&facts);
    let facts = gather::gather(&start, facts, &client, &asked)?;
    let plan = release::plan(&facts, &asked)?;
    if !start.global.dry_run {
        plan.git_tag.require(&plan.name(), options.create_tag)?;
    }
    let request = request(&plan, options.promote)?;
    let build = build_options(&start, &plan);
    let mut publication = Publication::new(&start, facts, request.clone(), build, client.clone())?;
    let publish = publication.plan();
    let facts = publication.facts().clone();
    if start.global.dry_run {
        let tags = release::outlook(&facts, &plan, &request);
        let explanation = Explanation::new(&plan, tags, publish.as_ref().ok());
        return show(&start, &explanation, &publication).and(publish.map(|_| Exit::Done));
    }
    let publish = publish?;
    promotion::verify(&client, &facts, &request, &publish)?;
    tag(&start, &facts, &plan)?;
    let (exit, results) = publication.carry_out(&publish, &options.publish)?;
    if exit == Exit::Done && !options.no_github_release {
        announcement::announce(&start, &facts, &client, &plan, &results)?;
    }
    Ok(exit)
}

fn request(plan: &ReleasePlan, promote: bool) -> Result<Request> {
    let wishes = Wishes {
        // It tells its version, and so it is another image whatever its inputs.
        rebuild: true,
        promote,
        moves: Moves::ByVersion,
        ..Wishes::default()
    };
    let like = Some(dev_tag(&plan.revision)?);
    Ok(Request { revision: plan.revision.clone(), tags: plan.tags.clone(), like, wishes })
}

fn build_options(start: &Start, plan: &ReleasePlan) -> BuildOptions {
    BuildOptions {
        channel: Some(Channel::Release),
        builder: start.global.builder.clone(),
        version: Some(plan.version.to_string()),
        push_to: plan.tags.exact.first().cloned(),
        only_shown: start.global.dry_run,
        ..BuildOptions::default()
    }
}

/// What would be done, and what becomes of each tag.
fn show(start: &Start, explanation: &Explanation<'_>, publication: &Publication<'_>) -> Result<()> {
    if start.global.format == Format::Json {
        terminal::data(&format!("{}\n", serde_json::to_string_pretty(explanation)?));
        return Ok(());
    }
    if start.global.format == Format::Human {
        terminal::data(&report::release::explained(explanation));
    }
    explanation.publication.map_or(Ok(()), |plan| publication.show(plan))
}

/// Makes the git tag, or pushes it, where that is left to do.
fn tag(start: &Start, facts: &Facts, plan: &ReleasePlan) -> Result<()> {
    let (runner, name) = (&start.runner, plan.name());
    match plan.git_tag {
        GitTag::There => {}
        GitTag::OnlyHere => {
            git_tags::push(runner, &name)?;
            start.say(&format!("pushed the git tag {name}"));
        }
        GitTag::Missing => {
            // What happens in the lab stays there: its GitHub gets the tag, and `origin` does not.
            let push = facts.lab.is_none() && git_tags::has_origin(runner)?;
            let in_job = facts.environment.github.is_some();
            git_tags::create(runner, &name, &plan.revision, push, in_job)?;
            start.say(&format!("created the git tag {name}"));
        }
    }
    Ok(())
}
