//! Which services a command works on, and why the others are left out.

use serde::Serialize;

use xtask_model::facts::{Facts, ServiceFacts, Since};
use xtask_model::failure::Failure;
use xtask_model::service::ServiceName;
use xtask_model::spelling::nearest;

/// The chosen services and the others, each with the reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection<'f> {
    pub chosen: Vec<(&'f ServiceFacts, String)>,
    pub left_out: Vec<LeftOut>,
}

/// A service that was not named or has not changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub service: ServiceName,
    pub reason: String,
}

/// Chooses the `named` services, or all; with `--changed-since`, only those whose inputs differ.
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
            (true, Some((since, None))) => Err(format!("unchanged since {}", since.name)),
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
        None => failure.hint(format!("choose one of {}", known.join(", "))),
    })
}

/// A configured service without a folder is a typing error.
fn check_configured(facts: &Facts) -> Result<(), Failure> {
    let known: Vec<&str> = facts.services.iter().map(|service| service.name.as_str()).collect();
    let mut configured = facts.config.services.keys();
    let Some(lost) = configured.find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let place = facts.config.places.get(lost).map_or("Cargo.toml", String::as_str);
    let message = format!(
        "{place}: `workspace.metadata.images.services.{lost}` is not a service: \
         `services/{lost}/Dockerfile` does not exist"
    );
    let near = nearest(lost.as_str(), known).map(|name| format!("did you mean `{name}`?"));
    Err(Failure::usage(message).hint(near.unwrap_or_else(|| format!("mkdir services/{lost}"))))
}

/// How a service differs from that revision, if it does.
fn change(facts: &Facts, service: &ServiceFacts, since: &Since) -> Option<String> {
    let below = format!("{}/", service.folder);
    let paths: Vec<_> = since.paths.iter().filter(|path| path.starts_with(&below)).collect();
    if let Some(first) = paths.first() {
        let more = match paths.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        return Some(format!("`{first}`{more} changed since {}", since.name));
    }
    let now = &facts.config;
    let same = since.config.as_ref().is_some_and(|then| {
        now.service(&service.name) == then.service(&service.name)
            && now.platforms == then.platforms
            && now.licenses == then.licenses
    });
    (!same).then(|| format!("its configuration changed since {}", since.name))
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
    fn only_named_services_are_built() {
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
    fn a_named_but_unchanged_service_is_left_out() {
        let paths = ["services/web/a", "services/web/b", "services/web2/c", "README.md"];
        check(
            &facts(Some((&paths, ""))),
            &[],
            &expect![[r"
            + web: `services/web/a` and 1 more changed since main
            - worker: unchanged since main
        "]],
        );
        check(
            &facts(Some((&paths, ""))),
            &["worker"],
            &expect![[r"
            - web: not named on the command line
            - worker: unchanged since main
        "]],
        );
        let then = "[workspace.metadata.images.services.worker]\ntarget = 'a'\n";
        check(
            &facts(Some((&[], then))),
            &[],
            &expect![[r"
            + worker: its configuration changed since main
            - web: unchanged since main
        "]],
        );
        check(
            &facts(Some((&[], "platforms = ['linux/arm64']\n"))),
            &[],
            &expect![[r"
            + web: its configuration changed since main
            + worker: its configuration changed since main
        "]],
        );
        check(
            &facts(Some((&[], "size-limit = '1 GB'\n"))),
            &[],
            &expect![[r"
            - web: unchanged since main
            - worker: unchanged since main
        "]],
        );
        check(
            &facts(Some((&[], "what cannot be read"))),
            &["web"],
            &expect![[r"
            + web: its configuration changed since main
            - worker: not named on the command line
        "]],
        );
    }

    #[test]
    fn an_unknown_service_is_refused_with_a_suggestion() {
        check(
            &facts(None),
            &["wokrer"],
            &expect!["there is no service `wokrer` / did you mean `worker`?"],
        );
        check(
            &facts(None),
            &["database"],
            &expect!["there is no service `database` / choose one of web, worker"],
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
    fn a_configured_service_must_have_a_folder() {
        let images = |name: &str| format!("[workspace.metadata.images.services.{name}]\n");
        check(
            &crate::sample::facts(&images("wbe"), "FROM scratch\n"),
            &[],
            &expect![
                "Cargo.toml:3:37: `workspace.metadata.images.services.wbe` is not a service: `services/wbe/Dockerfile` does not exist / did you mean `web`?"
            ],
        );
        check(
            &crate::sample::facts(&images("database"), "FROM scratch\n"),
            &[],
            &expect![
                "Cargo.toml:3:37: `workspace.metadata.images.services.database` is not a service: `services/database/Dockerfile` does not exist / mkdir services/database"
            ],
        );
    }
}
