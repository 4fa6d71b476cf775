//! Publishing steps as the comments of a script.

use std::fmt::Write;

use xtask_model::reference::{Digest, Reference, Tag};
use xtask_plan::publish::{Extent, Requires, ServicePublication, Step};

use super::plan;

/// Writes the steps with their numbers; `service` has the commands of the steps that run one.
pub(super) fn steps(text: &mut String, steps: &[Step], service: Option<&ServicePublication>) {
    let build = service.and_then(|service| service.build.as_ref());
    for (position, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "# {}. {}", position + 1, sentence(step));
        match (step, build) {
            (Step::Build { .. }, Some(build)) => plan::build_command(text, build),
            (Step::ExportCache, Some(build)) => plan::export_command(text, build),
            _ => {}
        }
    }
}

/// One step in words.
fn sentence(step: &Step) -> String {
    match step {
        Step::RequireGitTag { tag, problem, hint } => {
            format!("require the git tag {tag}: {problem} ({hint})")
        }
        Step::PushGitTag { tag, create, push, revision } => match (create, push) {
            (true, true) => format!("create the git tag {tag} at {revision}, and push it"),
            (true, false) => format!("create the git tag {tag} at {revision}"),
            (false, _) => format!("push the git tag {tag}"),
        },
        Step::CheckImage { repository, image, extent } => {
            let parts = match extent {
                Extent::All => "manifests and layers",
                Extent::Manifests => "manifests",
            };
            format!("check that {} has all its {parts}", of(repository, image.as_ref()))
        }
        Step::Build { push_to: Some(tag), requires } => {
            format!("build, and push to {tag}{}", condition(requires))
        }
        Step::Build { push_to: None, .. } => "build without an image, to fill the cache".to_owned(),
        Step::ExportCache => "export the cache, beside the steps that follow".to_owned(),
        Step::SetTag { tag, image, requires } => {
            format!("point {tag} to {}{}", short(image.as_ref()), condition(requires))
        }
        Step::Sign { image, .. } => {
            format!("sign {} with cosign, unless it is signed", short(image.as_ref()))
        }
        Step::MoveTag { tag, image, requires } => {
            format!("move {tag} to {}{}", short(image.as_ref()), condition(requires))
        }
        Step::Recheck { tags, requires } => {
            let names = tags.iter().filter_map(|tag| tag.tag.as_ref()).map(Tag::as_str);
            let names = names.collect::<Vec<_>>().join(", ");
            let first = tags.first().map(ToString::to_string).unwrap_or_default();
            let repository = first.rsplit_once(':').map_or("", |(repository, _)| repository);
            recheck(&format!("{names} of {repository}"), requires)
        }
        Step::CreateRelease { tag, requires } => {
            format!("create the GitHub release {tag}{}", condition(requires))
        }
    }
}

/// What is read again, and what happens if it has changed.
fn recheck(tags: &str, requires: &Requires) -> String {
    match requires {
        Requires::TagOurs { tag } => {
            format!("read {tag} again; if another run has pushed it, move {tags} to its image")
        }
        Requires::HighestVersion => {
            format!("list the versions again; give {tags} to a higher one")
        }
        other => format!("read {tags} again{}", condition(other)),
    }
}

/// What must hold when the step runs.
fn condition(requires: &Requires) -> String {
    match requires {
        Requires::Nothing => String::new(),
        Requires::Unpublished { tag } => format!(", unless {tag} exists by then"),
        Requires::TagUnset => ", if the tag is unset or points to it".to_owned(),
        Requires::TagOurs { tag } => format!(", if {tag} points to it"),
        Requires::NewestCommit => ", if no newer commit is published".to_owned(),
        Requires::HighestVersion => ", if no higher version of the line is published".to_owned(),
        Requires::NoRelease => ", unless one is published".to_owned(),
    }
}

fn short(image: Option<&Digest>) -> &str {
    image.map_or("the built image", Digest::short)
}

fn of(repository: &Reference, image: Option<&Digest>) -> String {
    match image {
        Some(digest) => repository.at(digest.clone()).to_string(),
        None => "the built image".to_owned(),
    }
}
