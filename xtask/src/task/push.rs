//! `cargo xtask push`: publishes the dev channel. What did not change is only tagged.

use anyhow::Result;

use crate::cli::{self, Format};
use crate::model::channel::Channel;
use crate::model::failure::Exit;
use crate::outside::gather::Wanted;
use crate::outside::terminal;
use crate::plan::build::BuildOptions;
use crate::plan::labels::revision;
use crate::plan::publish::{Moves, Request, Wishes, dev_tags};
use crate::plan::push::commit;
use crate::report;

use super::Start;
use super::gate;
use super::publication::Publication;

pub fn run(mut start: Start, options: &cli::Push) -> Result<Exit> {
    start.enter_lab()?;
    let facts = start.facts(&Wanted {
        changed_since: options.changed_since.as_deref(),
        services: &options.services,
        ..Wanted::default()
    })?;
    let git = commit(&facts, Some(options.allow_dirty))?;
    let dirty = !git.dirty.is_empty();
    let revision = revision(git);
    let tags = dev_tags(&revision, dirty)?;
    let build = BuildOptions {
        services: options.services.clone(),
        channel: Some(Channel::Dev),
        builder: start.global.builder.clone(),
        push_to: tags.exact.first().cloned(),
        only_shown: start.global.dry_run || start.global.format == Format::Matrix,
        ..BuildOptions::default()
    };
    let wishes = Wishes {
        rebuild: options.rebuild,
        dirty,
        moves: if options.allow_rollback { Moves::Anywhere } else { Moves::Forward },
        promote: false,
    };
    let like = tags.floating.first().cloned();
    let request = Request { revision, tags, like, wishes };
    let client = gate::client(&facts);
    let mut publication = Publication::new(&start, facts, request, build, client)?;
    let plan = publication.plan()?;
    if start.global.format == Format::Matrix {
        let names = plan.services.iter().filter(|service| service.build.is_some());
        terminal::data(&super::build::matrix(names.map(|service| service.service.as_str()))?);
        return Ok(Exit::Done);
    }
    if options.explain {
        for service in &plan.services {
            start.say(&report::publication::explained(service));
        }
    }
    if start.global.dry_run {
        publication.show(&plan)?;
        return Ok(Exit::Done);
    }
    Ok(publication.carry_out(&plan, &options.publish)?.0)
}
