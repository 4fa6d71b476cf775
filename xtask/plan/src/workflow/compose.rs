//! The compose file: its services are those of the repository, with the names and the cache sources that
//! the plan gives them.

use std::collections::BTreeSet;

use xtask_model::compose::{ComposeService, services};
use xtask_model::dockerfile::{Dockerfile, Instruction};
use xtask_model::facts::Facts;
use xtask_model::tier::{CachePlace, CacheTier};
use xtask_model::yaml::Placed;

use super::{File, Judged};

/// What the compose file must say of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub service: String,
    pub folder: String,
    /// `REGISTRY/OWNER/REPO/SERVICE`.
    pub image: String,
    pub cache_from: Vec<String>,
    /// What the Dockerfile exposes.
    pub ports: BTreeSet<String>,
}

/// What a compose file of these facts says: the registry is the configured one, also in the lab.
pub fn expected(facts: &Facts) -> Vec<Expected> {
    let facts = Facts { lab: None, ..facts.clone() };
    let of_service = |service: &xtask_model::facts::ServiceFacts| {
        let place: CachePlace = facts.cache_place(&service.name)?;
        let references = CacheTier::ALL.iter().filter_map(|tier| place.reference(*tier).ok()?);
        Some(Expected {
            service: service.name.to_string(),
            folder: service.folder.clone(),
            image: place.repository.to_string(),
            cache_from: references
                .map(|reference| format!("type=registry,ref={reference}"))
                .collect(),
            ports: exposed(&service.dockerfile),
        })
    };
    facts.services.iter().filter_map(of_service).collect()
}

fn exposed(dockerfile: &str) -> BTreeSet<String> {
    let stages = Dockerfile::parse(dockerfile).map(|file| file.stages).unwrap_or_default();
    let instructions = stages.iter().flat_map(|stage| &stage.instructions);
    let ports = instructions.filter(|instruction| instruction.keyword == "EXPOSE");
    let number = |port: String| port.split('/').next().unwrap_or(&port).to_owned();
    ports.flat_map(Instruction::words).map(number).collect()
}

/// The rules of a compose file.
pub fn compose(file: File<'_>, expected: &[Expected]) -> Judged {
    let mut judged = Judged::default();
    match services(file.text) {
        Ok(services) => {
            for service in &services {
                one(file, service, expected, &mut judged);
            }
        }
        Err(error) => judged.unreadable(file, error),
    }
    judged
}

fn one(file: File<'_>, service: &ComposeService, expected: &[Expected], judged: &mut Judged) {
    let is_ours = |placed: &Placed, expected: &Expected| {
        let rest = placed.text.strip_prefix(&expected.image);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
    };
    let Some(image) = &service.image else {
        let detail = format!("`{}` names no image", service.name);
        judged.add(file, service.line, "compose-image", detail, "add `image:`");
        return;
    };
    let Some(expected) = expected.iter().find(|expected| is_ours(image, expected)) else {
        let known: Vec<&str> = expected.iter().map(|expected| expected.image.as_str()).collect();
        let detail = format!("`{}` is no image of this repository", image.text);
        let remedy = format!("name one of {}", known.join(", "));
        judged.add(file, image.line, "compose-image", detail, remedy);
        return;
    };
    if let Some(context) = &service.context {
        let folder = context.text.trim_start_matches("./").trim_end_matches('/');
        if folder != expected.folder {
            let detail = format!("`{}` is built from `{}`", expected.service, expected.folder);
            let remedy = format!("write `context: {}`", expected.folder);
            judged.add(file, context.line, "compose-context", detail, remedy);
        }
        let given: Vec<&str> = service.cache_from.iter().map(|from| from.text.as_str()).collect();
        if given != expected.cache_from {
            let line = service.cache_from.first().map_or(context.line, |from| from.line);
            let detail = format!("`{}` is not built with the cache that is planned", service.name);
            let remedy = format!("write `cache_from: [{}]`", quoted(&expected.cache_from));
            judged.add(file, line, "compose-cache", detail, remedy);
        }
    }
    for port in service.ports.iter().filter(|port| !expected.ports.contains(&port.text)) {
        let detail = format!("`{}` does not expose port {}", expected.service, port.text);
        let remedy = format!("add `EXPOSE {}` to {}/Dockerfile", port.text, expected.folder);
        judged.add(file, port.line, "compose-port", detail, remedy);
    }
}

/// In a list in brackets a comma would end the text.
fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ")
}
