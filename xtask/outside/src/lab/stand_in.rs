//! Registers the command's repository at the lab's stand-in for GitHub.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use ureq::http::Method;

use super::servers::ask;
use crate::http::{Call, Http};
use crate::process::Runner;
use xtask_model::invocation::Invocation;
use xtask_model::reference::Repository;
use xtask_model::token::Secret;

/// Registers the repository at `api`, and returns a token that may write to it.
pub fn register(
    runner: &Runner,
    http: &Http,
    api: &str,
    repository: &Repository,
) -> Result<Secret> {
    let (owner, name) =
        repository.as_str().split_once('/').context("the repository has no owner")?;
    let token = "lab-writer";
    let permissions = json!({ "contents": "write", "packages": "write" });
    let writer = json!({ "token": token, "login": owner, "permissions": permissions });
    add(http, api, "tokens", &writer)?;
    let known = add(http, api, "repositories", &json!({ "owner": owner, "name": name }))?;
    let folder = known.pointer("/git_dir").and_then(Value::as_str);
    let folder = folder.context("the lab's GitHub does not report the folder of the repository")?;
    // As on GitHub, only a pushed commit can be released.
    let push =
        ["push", "--quiet", "--force", folder, "HEAD:refs/heads/main", "refs/tags/*:refs/tags/*"];
    runner.output(&Invocation::new("git", push))?;
    Ok(Secret::new(token))
}

/// Adds something of one kind, and returns the answer.
fn add(http: &Http, api: &str, kind: &str, value: &Value) -> Result<Value> {
    let call = Call::new(Method::POST, format!("{api}/_lab/{kind}"))
        .header("content-type", "application/json")
        .body(value.to_string());
    Ok(serde_json::from_slice(&ask(http, call)?).unwrap_or_default())
}
