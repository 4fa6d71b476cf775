//! Which services a command works on, and why the others are left out.

use serde::Serialize;

use xtask_model::config::nearest;
use xtask_model::facts::{Facts, ServiceFacts, Since};
use xtask_model::failure::Failure;
use xtask_model::service::ServiceName;

/// The services to work on, each with why, and those left out, each with why.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection<'f> {
    pub chosen: Vec<(&'f ServiceFacts, String)>,
    pub left_out: Vec<LeftOut>,
}

/// A service that was not asked for or has no reason to be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub service: ServiceName,
    pub reason: String,
}

/// Decides which services to work on: those `named`, or all; of them, with `--changed-since`, those
/// whose inputs differ.
pub fn select<'f>(facts: &'f Facts, named: &[String]) -> Result<Selection<'f>, Failure> {
    if facts.services.is_empty() {
        let failure =
            Failure::usage("there is no service: no folder under `services/` has a Dockerfile");
        return Err(failure.hint("mkdir -p services/NAME and write services/NAME/Dockerfile"));
    }
    check_names(facts, named)?;
    check_configured(facts)?;
    let since = facts.git.as_ref().and_then(|git| git.since.as_ref());
    let mut selection = Selection { chosen: Vec::new(), left_out: Vec::new() };
    for service in &facts.services {
        let asked = named.is_empty() || named.iter().any(|name| name == service.name.as_str());
        let changed = since.map(|since| (since, change(facts, service, since)));
        let reason = match (asked, changed) {
            (false, _) => Err("not named on the command line".to_owned()),
            (true, Some((since, None))) => Err(format!("its inputs are those of {}", since.name)),
            (true, Some((_, Some(change)))) => Ok(change),
            (true, None) if named.is_empty() => Ok("every service is built".to_owned()),
            (true, None) => Ok("named on the command line".to_owned()),
        };
        match reason {
            Ok(reason) => selection.chosen.push((service, reason)),
            Err(reason) => {
                selection.left_out.push(LeftOut { service: service.name.clone(), reason });
            }
        }
    }
    Ok(selection)
}

fn check_names(facts: &Facts, named: &[String]) -> Result<(), Failure> {
    let known: Vec<&str> = facts.services.iter().map(|service| service.name.as_str()).collect();
    let Some(unknown) = named.iter().find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    if let Err(error) = ServiceName::new(unknown.as_str()) {
        return Err(Failure::usage(error.to_string()));
    }
    let failure = Failure::usage(format!("there is no service `{unknown}`"));
    Err(match nearest(unknown, known.iter().copied()) {
        Some(name) => failure.hint(format!("did you mean `{name}`?")),
        None => failure.hint(format!("name one of {}", known.join(", "))),
    })
}

/// A service that the configuration names and no folder holds is a slip of the pen.
fn check_configured(facts: &Facts) -> Result<(), Failure> {
    let known: Vec<&str> = facts.services.iter().map(|service| service.name.as_str()).collect();
    let mut configured = facts.config.services.keys();
    let Some(lost) = configured.find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let place = facts.config.places.get(lost).map_or("Cargo.toml", String::as_str);
    let message = format!(
        "{place}: `workspace.metadata.images.services.{lost}` is no service: \
         `services/{lost}/Dockerfile` does not exist"
    );
    let near = nearest(lost.as_str(), known).map(|name| format!("did you mean `{name}`?"));
    Err(Failure::usage(message).hint(near.unwrap_or_else(|| format!("mkdir services/{lost}"))))
}

/// What of a service's inputs differs from then, if anything.
fn change(facts: &Facts, service: &ServiceFacts, since: &Since) -> Option<String> {
    let below = format!("{}/", service.folder);
    let paths: Vec<_> = since.paths.iter().filter(|path| path.starts_with(&below)).collect();
    if let Some(first) = paths.first() {
        let more = match paths.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        return Some(format!("`{first}`{more} differs from {}", since.name));
    }
    let now = &facts.config;
    let same = since.config.as_ref().is_some_and(|then| {
        now.service(&service.name) == then.service(&service.name)
            && now.platforms == then.platforms
            && now.licenses == then.licenses
    });
    (!same).then(|| format!("its configuration differs from {}", since.name))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use xtask_model::config::Config;
    use xtask_model::facts::Git;

    /// `web` and `worker`, with what differs from another revision.
    fn facts(since: Option<(&[&str], &str)>) -> Facts {
        let mut facts = crate::sample::facts("", "FROM scratch\n");
        facts.services.push(crate::sample::service("worker", "FROM scratch\n"));
        let since = since.map(|(paths, then)| Since {
            name: "main".to_owned(),
            paths: paths.iter().map(ToString::to_string).collect(),
            config: Config::parse("Cargo.toml", &format!("[workspace.metadata.images]\n{then}"))
                .ok(),
        });
        Facts { git: Some(Git { since, ..Git::default() }), ..facts }
    }

    fn check(facts: &Facts, named: &[&str], expected: &Expect) {
        let named: Vec<String> = named.iter().map(ToString::to_string).collect();
        let shown = match select(facts, &named) {
            Err(failure) => format!("{failure} / {}", failure.hint.clone().unwrap_or_default()),
            Ok(Selection { chosen, left_out }) => {
                let chosen =
                    chosen.iter().map(|(service, why)| format!("+ {}: {why}\n", service.name));
                let left_out =
                    left_out.iter().map(|left| format!("- {}: {}\n", left.service, left.reason));
                chosen.chain(left_out).collect()
            }
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn all_services_are_built_or_those_that_are_named() {
        check(
            &facts(None),
            &[],
            &expect![[r"
            + web: every service is built
            + worker: every service is built
        "]],
        );
        check(
            &facts(None),
            &["worker"],
            &expect![[r"
            + worker: named on the command line
            - web: not named on the command line
        "]],
        );
    }

    #[test]
    fn a_service_whose_inputs_are_the_same_is_left_out_even_when_it_is_named() {
        let paths = ["services/web/a", "services/web/b", "services/web2/c", "README.md"];
        check(
            &facts(Some((&paths, ""))),
            &[],
            &expect![[r"
            + web: `services/web/a` and 1 more differs from main
            - worker: its inputs are those of main
        "]],
        );
        check(
            &facts(Some((&paths, ""))),
            &["worker"],
            &expect![[r"
            - web: not named on the command line
            - worker: its inputs are those of main
        "]],
        );
        let then = "[workspace.metadata.images.services.worker]\ntarget = 'a'\n";
        check(
            &facts(Some((&[], then))),
            &[],
            &expect![[r"
            + worker: its configuration differs from main
            - web: its inputs are those of main
        "]],
        );
        check(
            &facts(Some((&[], "platforms = ['linux/arm64']\n"))),
            &[],
            &expect![[r"
            + web: its configuration differs from main
            + worker: its configuration differs from main
        "]],
        );
        check(
            &facts(Some((&[], "size-limit = '1 GB'\n"))),
            &[],
            &expect![[r"
            - web: its inputs are those of main
            - worker: its inputs are those of main
        "]],
        );
        check(
            &facts(Some((&[], "what cannot be read"))),
            &["web"],
            &expect![[r"
            + web: its configuration differs from main
            - worker: not named on the command line
        "]],
        );
    }

    #[test]
    fn a_name_that_is_no_service_is_refused_with_the_nearest() {
        check(
            &facts(None),
            &["wokrer"],
            &expect!["there is no service `wokrer` / did you mean `worker`?"],
        );
        check(
            &facts(None),
            &["database"],
            &expect!["there is no service `database` / name one of web, worker"],
        );
        check(
            &facts(None),
            &["Web"],
            &expect!["`Web` is not a service name: `W` is upper case; did you mean `web`? / "],
        );
        check(
            &Facts { services: Vec::new(), ..facts(None) },
            &[],
            &expect![
                "there is no service: no folder under `services/` has a Dockerfile / mkdir -p services/NAME and write services/NAME/Dockerfile"
            ],
        );
    }

    #[test]
    fn a_service_that_is_configured_and_not_there_is_refused_with_its_place() {
        let images = |name: &str| format!("[workspace.metadata.images.services.{name}]\n");
        check(
            &crate::sample::facts(&images("wbe"), "FROM scratch\n"),
            &[],
            &expect![
                "Cargo.toml:3:37: `workspace.metadata.images.services.wbe` is no service: `services/wbe/Dockerfile` does not exist / did you mean `web`?"
            ],
        );
        check(
            &crate::sample::facts(&images("database"), "FROM scratch\n"),
            &[],
            &expect![
                "Cargo.toml:3:37: `workspace.metadata.images.services.database` is no service: `services/database/Dockerfile` does not exist / mkdir services/database"
            ],
        );
    }
}
