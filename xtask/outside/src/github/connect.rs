//! Which GitHub a command talks to, and with which token: the lab's stand-in, the job's, or github.com.

use anyhow::Result;

use xtask_model::facts::LabFacts;
use xtask_model::invocation::Invocation;
use xtask_model::reference::Repository;
use xtask_model::token::Secret;

use super::client::GitHub;
use crate::environment;
use crate::http::Http;
use crate::lab::stand_in;
use crate::process::Runner;

/// The GitHub of `repository`.
pub fn connect(
    runner: &Runner,
    http: &Http,
    lab: Option<&LabFacts>,
    repository: &Repository,
) -> Result<GitHub> {
    if let Some(lab) = lab {
        let token = stand_in::register(runner, http, &lab.github_api, repository)?;
        return Ok(GitHub::new(http.clone(), &lab.github_api, Some(token)));
    }
    let url = environment::text("GITHUB_API_URL");
    let url = url.unwrap_or_else(|| "https://api.github.com".to_owned());
    Ok(GitHub::new(http.clone(), &url, token(runner)))
}

/// The job's token, or the one that `gh` has.
fn token(runner: &Runner) -> Option<Secret> {
    let given = environment::text("GITHUB_TOKEN").or_else(|| environment::text("GH_TOKEN"));
    let of_gh = || {
        let finished = runner.finish(&Invocation::new("gh", ["auth", "token"])).ok()?;
        let token = finished.stdout.trim().to_owned();
        (finished.success() && !token.is_empty()).then_some(token)
    };
    given.or_else(of_gh).map(Secret::new)
}
