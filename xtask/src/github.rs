//! GitHub's REST API, as `release` and `prune` reach it: the lab's stand-in, the job's or GitHub's own.

use anyhow::Result;

use crate::model::facts::Facts;
use crate::outside::environment;
use crate::outside::github_api::GitHubApi;

use crate::command::Command;
use crate::lab;

/// Where the API is, and the token to use there.
pub fn api(command: &Command, facts: &Facts) -> Result<GitHubApi> {
    if let Some(lab) = &facts.lab {
        let (repository, _) = facts.repository().ok_or_else(crate::model::facts::no_repository)?;
        let token = lab::github(command, &lab.github_api, &repository)?;
        return Ok(GitHubApi { url: lab.github_api.clone(), token: Some(token) });
    }
    let url = environment::text("GITHUB_API_URL");
    let url = url.unwrap_or_else(|| "https://api.github.com".to_owned());
    let token = environment::github_token(&command.runner);
    Ok(GitHubApi { url: url.trim_end_matches('/').to_owned(), token })
}
