//! `cargo xtask verify` and `cargo xtask doctor`: is it what we think it is, and if not, what to type.

use anyhow::Result;

use crate::cli::{Doctor, Format, Verify};
use crate::model::facts::{Engine, Facts, ServiceFacts};
use crate::model::failure::Exit;
use crate::model::invocation::Invocation;
use crate::model::manifest::Manifest;
use crate::model::published::Relation;
use crate::model::reference::{Reference, Tag};
use crate::model::tier::{CacheTier, GhaInert, Seen, TierOutcome};
use crate::outside::gather::{self, Wanted};
use crate::outside::registry::{Client, Options, RegistryError};
use crate::outside::{context, docker, environment, git, parallel, published, records, terminal};
use crate::plan::builder;
use crate::plan::cache::sources;
use crate::plan::rules;
use crate::plan::selection::select;
use crate::plan::verify::{Finding, Level, exit};
use crate::report::WIDTH;
use crate::report::quantity::{bytes, percent};
use crate::report::table::Table;

use super::Start;

pub fn run(mut start: Start, options: &Verify) -> Result<Exit> {
    let format = start.human_or_json()?;
    start.enter_lab()?;
    let facts = start.facts(&Wanted::default())?;
    let chosen = select(&facts, &options.services)?.chosen;
    let services: Vec<&ServiceFacts> = chosen.iter().map(|(service, _)| *service).collect();
    let mut findings: Vec<Finding> =
        services.iter().flat_map(|service| of_dockerfile(&start, &facts, service)).collect();
    if !options.local {
        let client = Client::new(Options::default());
        let names: Vec<_> = services.iter().map(|service| service.name.clone()).collect();
        let looked =
            parallel::each(&services, |service| of_registry(&start, &facts, &client, service));
        for of_service in looked {
            findings.extend(of_service?);
        }
        let tiers = gather::tiers(&facts, &client, &names)?;
        findings.extend(of_tiers(&Facts { tiers, ..facts.clone() }, &services));
        if start.global.verbose {
            start.say(&format!("{} requests", client.requests()));
        }
    }
    findings.extend(services.iter().flat_map(|service| of_records(&start, &facts, service)));
    show(&findings, format, options.strict)
}

pub fn doctor(mut start: Start, options: &Doctor) -> Result<Exit> {
    let format = start.human_or_json()?;
    start.enter_lab()?;
    let mut facts = start.facts(&Wanted { tiers: true, ..Wanted::default() })?;
    facts.engine = docker::read(&start.runner)?;
    let services: Vec<&ServiceFacts> = facts.services.iter().collect();
    let mut findings = of_engine(&facts);
    findings.extend(of_disk(&start));
    findings.extend(of_git(&facts));
    findings.extend(of_credentials(&facts));
    findings.extend(of_actions(&facts));
    findings.extend(of_tiers(&facts, &services));
    findings.extend(services.iter().flat_map(|service| of_records(&start, &facts, service)));
    show(&findings, format, options.strict)
}

fn show(findings: &[Finding], format: Format, strict: bool) -> Result<Exit> {
    let text = match format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(findings)?),
        _ => human(findings),
    };
    terminal::data(&terminal::printable(&text));
    Ok(exit(findings, strict))
}

fn human(findings: &[Finding]) -> String {
    let mut table = Table::new(["", "about", "check", "finding"]);
    let mut worst: Vec<&Finding> = findings.iter().collect();
    worst.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    for finding in &worst {
        table.row([
            format!("{:?}", finding.level).to_lowercase(),
            finding.subject.clone(),
            finding.check.to_owned(),
            finding.detail.clone(),
        ]);
    }
    let mut text = table.text(terminal::width().unwrap_or(WIDTH));
    let mut remedies: Vec<&str> = worst
        .iter()
        .filter(|finding| finding.level > Level::Skip)
        .filter_map(|finding| finding.remedy.as_deref())
        .collect();
    remedies.dedup();
    text.extend(remedies.iter().flat_map(|remedy| ["→ ", remedy, "\n"]));
    text
}

/// What our own rules say about a service's Dockerfile.
fn of_dockerfile(start: &Start, facts: &Facts, service: &ServiceFacts) -> Vec<Finding> {
    let own = facts.config.service(&service.name);
    rules::findings(&rules::Subject {
        file: &format!("{}/Dockerfile", service.folder),
        text: &service.dockerfile,
        arguments: &own.build_args,
        target: own.target.as_deref(),
        context: &context::read(&start.root.join(&service.folder), rules::is_private),
    })
}

/// What is published of a service.
fn of_registry(
    start: &Start,
    facts: &Facts,
    client: &Client,
    service: &ServiceFacts,
) -> Result<Vec<Finding>> {
    let name = service.name.as_str();
    let Some(repository) = facts.published(&service.name) else {
        return Ok(vec![
            Finding::new(name, "repository", Level::Unknown, "no repository is known")
                .remedy("set `repository` under [workspace.metadata.images]"),
        ]);
    };
    let tags = match client.tags(&repository) {
        Ok(tags) => tags,
        Err(RegistryError::NotFound) => {
            return Ok(vec![
                Finding::new(name, "published", Level::Fail, format!("nothing at {repository}"))
                    .remedy("cargo xtask push"),
            ]);
        }
        Err(error @ (RegistryError::Denied { .. } | RegistryError::Unauthorized { .. })) => {
            return Ok(vec![
                Finding::new(name, "login", Level::Fail, error.to_string())
                    .remedy(format!("docker login {}", repository.registry)),
            ]);
        }
        Err(RegistryError::Interrupted) => return Err(RegistryError::Interrupted.into()),
        Err(error) => {
            return Ok(vec![
                Finding::new(name, "published", Level::Unknown, error.to_string())
                    .remedy("cargo xtask doctor"),
            ]);
        }
    };
    let mut findings = Vec::new();
    for text in ["dev", "latest"] {
        let tag = Tag::new(text)?;
        if tags.contains(&tag) {
            findings.extend(of_image(start, facts, client, service, &repository.with_tag(tag))?);
        } else {
            let level = if text == "dev" { Level::Fail } else { Level::Skip };
            let remedy =
                if text == "dev" { "cargo xtask push" } else { "cargo xtask release --next auto" };
            findings.push(
                Finding::new(name, "tag", level, format!("`{text}` is not published"))
                    .remedy(remedy),
            );
        }
    }
    findings.extend(agreeing(client, name, &repository, &tags));
    Ok(findings)
}

/// A floating tag and the exact tag it must agree with.
fn agreeing(client: &Client, name: &str, repository: &Reference, tags: &[Tag]) -> Vec<Finding> {
    let versions = crate::plan::release::published(tags);
    let Some(highest) = versions.iter().filter(|version| version.pre.is_empty()).max() else {
        return Vec::new();
    };
    let names = [
        format!("{}.{}", highest.major, highest.minor),
        highest.major.to_string(),
        "latest".to_owned(),
    ];
    let digest = |text: &str| {
        let tag = Tag::new(text).ok()?;
        client.head_manifest(&repository.with_tag(tag)).ok().map(|head| head.digest)
    };
    let exact = digest(&format!("v{highest}"));
    names
        .iter()
        .map(|floating| match (digest(floating), &exact) {
            (Some(there), Some(exact)) if there == *exact => {
                Finding::new(name, "tags agree", Level::Pass, format!("`{floating}` is v{highest}"))
            }
            (Some(_), _) => Finding::new(
                name,
                "tags agree",
                Level::Fail,
                format!("`{floating}` is not v{highest}"),
            )
            .remedy(format!("cargo xtask release v{highest}")),
            (None, _) => {
                Finding::new(name, "tags agree", Level::Fail, format!("`{floating}` is missing"))
                    .remedy(format!("cargo xtask release v{highest}"))
            }
        })
        .collect()
}

fn of_image(
    start: &Start,
    facts: &Facts,
    client: &Client,
    service: &ServiceFacts,
    reference: &Reference,
) -> Result<Vec<Finding>> {
    let tag = reference.tag.as_ref().map_or("", Tag::as_str);
    let subject = format!("{}:{tag}", service.name);
    let new = |check, level, detail: String| Finding::new(subject.clone(), check, level, detail);
    let stored = match client.manifest(reference) {
        Ok(stored) => stored,
        Err(error) => {
            let level = if error == RegistryError::NotFound { Level::Fail } else { Level::Unknown };
            return Ok(vec![
                new("manifest", level, error.to_string()).remedy("cargo xtask push --rebuild"),
            ]);
        }
    };
    let mut findings = Vec::new();
    let manifest = match stored.parse() {
        Ok(manifest) => manifest,
        Err(error) => {
            return Ok(vec![
                new("manifest", Level::Fail, error.to_string())
                    .remedy("cargo xtask push --rebuild"),
            ]);
        }
    };
    if matches!(manifest, Manifest::Cache(_) | Manifest::Other { .. }) {
        return Ok(vec![
            new("kind", Level::Fail, "no image, but a cache or another artifact".to_owned())
                .remedy("cargo xtask push --rebuild"),
        ]);
    }
    match published::closure(client, reference, &stored.digest) {
        Ok(closure) => {
            match closure.missing.first() {
                Some(missing) => findings.push(
                    new(
                        "closure",
                        Level::Fail,
                        format!("{} objects are gone, such as {missing}", closure.missing.len()),
                    )
                    .remedy("cargo xtask push --rebuild"),
                ),
                None => findings.push(new(
                    "closure",
                    Level::Pass,
                    "all it leads to is there".to_owned(),
                )),
            }
            let own = facts.config.service(&service.name);
            let limit = own.size_limit.or(facts.config.size_limit).map(|limit| limit.0);
            findings.push(match limit {
                Some(limit) if closure.size > limit => new(
                    "size",
                    Level::Fail,
                    format!("{}, more than {}", bytes(closure.size), bytes(limit)),
                )
                .remedy("docker history --no-trunc, and move build tools to another stage"),
                _ => new("size", Level::Pass, bytes(closure.size)),
            });
        }
        Err(error) => findings.push(new("closure", Level::Unknown, error.to_string())),
    }
    findings.extend(platforms(facts, service, &manifest, &subject));
    match published::image(client, reference) {
        Ok((image, _)) => findings.extend(labels(start, facts, service, &image, &subject)?),
        Err(error) => findings.push(
            new("labels", Level::Fail, format!("the configuration cannot be read: {error}"))
                .remedy("cargo xtask push --rebuild"),
        ),
    }
    Ok(findings)
}

fn platforms(
    facts: &Facts,
    service: &ServiceFacts,
    manifest: &Manifest,
    subject: &str,
) -> Vec<Finding> {
    let own = facts.config.service(&service.name);
    let configured = own.platforms.unwrap_or_else(|| facts.config.platforms.clone());
    let wanted = if configured.is_empty() {
        environment::own_platform().into_iter().collect()
    } else {
        configured
    };
    let Manifest::Index(index) = manifest else { return Vec::new() };
    wanted
        .iter()
        .map(|platform| match index.image_for(platform) {
            Some(_) => Finding::new(subject, "platform", Level::Pass, platform.to_string()),
            None => {
                Finding::new(subject, "platform", Level::Fail, format!("no image for {platform}"))
                    .remedy("cargo xtask push --rebuild")
            }
        })
        .collect()
}

fn labels(
    start: &Start,
    facts: &Facts,
    service: &ServiceFacts,
    image: &crate::model::published::PublishedImage,
    subject: &str,
) -> Result<Vec<Finding>> {
    let new = |check, level, detail: String| Finding::new(subject, check, level, detail);
    let mut findings = Vec::new();
    let Some(revision) = &image.revision else {
        findings.push(
            new("revision", Level::Fail, "it does not tell its commit".to_owned())
                .remedy("cargo xtask push --rebuild"),
        );
        return Ok(findings);
    };
    let short = revision.get(..12).unwrap_or(revision);
    let Some(git) = &facts.git else { return Ok(findings) };
    findings.push(match git::relation(&start.runner, revision, &git.revision)? {
        Relation::Same | Relation::Older => new("revision", Level::Pass, short.to_owned()),
        Relation::Newer => {
            new("revision", Level::Warn, format!("{short} is newer than this checkout"))
                .remedy("git pull")
        }
        Relation::Apart => new("revision", Level::Warn, format!("{short} is on another branch"))
            .remedy("git log --graph --all"),
        Relation::Unknown => {
            new("revision", Level::Fail, format!("this clone does not have {short}"))
                .remedy("git fetch --unshallow origin")
        }
    });
    if let (Some(inputs), Some(tree)) = (&image.inputs, git.trees.get(&service.folder)) {
        findings.push(if inputs.tree == *tree {
            new("freshness", Level::Pass, "built from the folder as it is here".to_owned())
        } else {
            new("freshness", Level::Warn, "the folder has changed since".to_owned())
                .remedy("cargo xtask push")
        });
    }
    if let (Some(base), None) = (&image.stand_in, &facts.lab) {
        findings.push(
            new("stand-in", Level::Fail, format!("it is built on a stand-in for {base}"))
                .remedy("cargo xtask push --rebuild"),
        );
    }
    Ok(findings)
}

fn of_tiers(facts: &Facts, services: &[&ServiceFacts]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in services {
        let place = facts.cache_place(&service.name);
        let looks = facts.looks(&service.name);
        for (look, plan) in looks.iter().zip(sources(place.as_ref(), looks)) {
            let subject = format!("{} {}", service.name, plan.tier);
            let remedy = match (&look.seen, plan.outcome) {
                (Seen::ImageInsteadOfCache { .. } | Seen::PlainImage { .. }, _) => {
                    "cargo xtask push --rebuild"
                }
                (_, TierOutcome::Denied) => "docker login",
                (_, TierOutcome::NotThere | TierOutcome::Empty) => "cargo xtask push",
                _ => "cargo xtask cache status",
            };
            let level = match plan.outcome {
                TierOutcome::Offered | TierOutcome::Covered => Level::Pass,
                TierOutcome::NotThere | TierOutcome::Empty if plan.tier == CacheTier::Cache => {
                    Level::Warn
                }
                TierOutcome::NotThere | TierOutcome::Empty => Level::Skip,
                TierOutcome::Inert if plan.tier == CacheTier::Gha => Level::Skip,
                TierOutcome::Inert | TierOutcome::Denied => Level::Fail,
                TierOutcome::Failed | TierOutcome::Hung => Level::Unknown,
            };
            findings.push(Finding::new(subject, "cache", level, plan.reason).remedy(remedy));
        }
    }
    findings
}

/// The last warm build against the smallest acceptable hit rate.
fn of_records(start: &Start, facts: &Facts, service: &ServiceFacts) -> Vec<Finding> {
    let name = service.name.as_str();
    let newest = records::newest(&start.target, &service.name, 2);
    let (Some(last), Some(_)) = (newest.first(), newest.get(1)) else {
        return vec![Finding::new(name, "hit rate", Level::Skip, "no second build here yet")];
    };
    let Some(rate) = last.totals.hit_rate() else { return Vec::new() };
    if rate >= facts.config.minimum_hit_rate {
        return vec![Finding::new(name, "hit rate", Level::Pass, percent(rate))];
    }
    let missed = last.steps.iter().find(|step| !step.cached).map_or("", |step| step.name.as_str());
    vec![
        Finding::new(
            name,
            "hit rate",
            Level::Warn,
            format!("{} of the last build; it began to miss at {missed}", percent(rate)),
        )
        .remedy("cargo xtask push --explain --dry-run"),
    ]
}

fn of_engine(facts: &Facts) -> Vec<Finding> {
    if let Some(problem) = builder::problem(&facts.engine) {
        let remedy = problem.hint.clone().unwrap_or_default();
        return vec![Finding::new("engine", "engine", Level::Fail, problem.message).remedy(remedy)];
    }
    let Engine::Ready { buildx, builders } = &facts.engine else { return Vec::new() };
    let mut findings = vec![Finding::new("engine", "buildx", Level::Pass, buildx.clone())];
    let current = builders.iter().find(|builder| builder.current);
    findings.push(match current {
        Some(builder) if builder.driver == "docker" && !builder.nodes.iter().all(|n| n.containerd_store) => {
            Finding::new("engine", "exports", Level::Warn, format!("`{}` cannot export a cache: images are not in containerd's store; push will create a builder", builder.name))
                .remedy("docker buildx create --driver docker-container --use")
        }
        Some(builder) => Finding::new("engine", "exports", Level::Pass, format!("`{}` ({}) can export a cache", builder.name, builder.driver)),
        None => Finding::new("engine", "exports", Level::Warn, "there is no current builder").remedy("docker buildx use default"),
    });
    findings
}

fn of_disk(start: &Start) -> Vec<Finding> {
    let root =
        start.runner.finish(&Invocation::new("docker", ["info", "--format={{.DockerRootDir}}"]));
    let folder =
        root.ok().map(|finished| finished.stdout.trim().to_owned()).filter(|path| !path.is_empty());
    let folder = folder.unwrap_or_else(|| ".".to_owned());
    let call = Invocation::new("df", ["--output=pcent,avail", "--block-size=1", &folder]);
    let Some(line) =
        start.runner.finish(&call).ok().and_then(|f| f.stdout.lines().nth(1).map(str::to_owned))
    else {
        return vec![Finding::new("disk", "disk", Level::Skip, "`df` does not tell")];
    };
    let mut words = line.split_whitespace();
    let used: u64 =
        words.next().and_then(|word| word.trim_end_matches('%').parse().ok()).unwrap_or(0);
    let free: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let level = if free < 5_000_000_000 { Level::Fail } else { Level::Pass };
    vec![
        Finding::new(
            "disk",
            "disk",
            level,
            format!("{} free, {used} % used in {folder}", bytes(free)),
        )
        .remedy("docker buildx prune --all && docker image prune --all"),
    ]
}

fn of_git(facts: &Facts) -> Vec<Finding> {
    let Some(git) = &facts.git else {
        return vec![
            Finding::new("git", "commit", Level::Fail, "there is no commit").remedy("git commit"),
        ];
    };
    let depth = if git.shallow {
        Finding::new(
            "git",
            "depth",
            Level::Fail,
            "a shallow clone: nobody can tell which commit is newer",
        )
        .remedy("git fetch --unshallow origin; in a job `fetch-depth: 0`")
    } else {
        Finding::new("git", "depth", Level::Pass, "the whole history is here")
    };
    let clean = match git.dirty.len() {
        0 => Finding::new("git", "clean", Level::Pass, "nothing is changed"),
        count => Finding::new(
            "git",
            "clean",
            Level::Warn,
            format!("{count} files are changed; push will refuse"),
        )
        .remedy("git commit"),
    };
    vec![depth, clean]
}

/// What the credentials allow, tested: an upload is begun and cancelled.
fn of_credentials(facts: &Facts) -> Vec<Finding> {
    let client = Client::new(Options::default());
    let Some(repository) =
        facts.services.first().and_then(|service| facts.published(&service.name))
    else {
        return Vec::new();
    };
    let subject = repository.registry.to_string();
    vec![match client.may_push(&repository) {
        Ok(()) => {
            Finding::new(subject, "may push", Level::Pass, format!("to {}", repository.repository))
        }
        Err(error @ (RegistryError::Unauthorized { .. } | RegistryError::Denied { .. })) => {
            Finding::new(subject.clone(), "may push", Level::Fail, error.to_string())
                .remedy(format!("docker login {subject}; in a job `permissions: packages: write`"))
        }
        Err(error) => Finding::new(subject, "may push", Level::Unknown, error.to_string())
            .remedy("check the network, then: cargo xtask doctor"),
    }]
}

fn of_actions(facts: &Facts) -> Vec<Finding> {
    let inert = facts.tiers.values().flatten().find_map(|look| match &look.seen {
        Seen::GhaInert { why } => Some(why.clone()),
        _ => None,
    });
    let in_job = facts.environment.github.is_some();
    vec![match inert {
        None => Finding::new("actions cache", "token", Level::Pass, "the service takes it"),
        Some(GhaInert::NoToken | GhaInert::NoUrl) if !in_job => {
            Finding::new("actions cache", "token", Level::Skip, "this is no GitHub job")
        }
        Some(why) => Finding::new("actions cache", "token", Level::Fail, format!("{why:?}"))
            .remedy("use the local action .github/actions/actions-cache before this step"),
    }]
}
