//! Reads which builders docker has and what they can do.

use anyhow::Result;
use serde::Deserialize;

use xtask_model::facts::{Builder, BuilderNode, Engine};
use xtask_model::invocation::Invocation;
use xtask_model::platform::Platform;

use super::process::{Finished, Runner};

/// Looks at the client, its buildx plugin and all builders.
pub fn read(runner: &Runner) -> Result<Engine> {
    if which::which("docker").is_err() {
        return Ok(Engine::NoClient);
    }
    let (version, listing) = std::thread::scope(|scope| {
        let version = scope.spawn(|| runner.finish(&docker(["buildx", "version"])));
        let listing = runner.finish(&docker(["buildx", "ls", "--format", "json"]));
        (version.join(), listing)
    });
    let version =
        version.map_err(|_| anyhow::anyhow!("a thread that asked buildx stopped early"))??;
    if !version.success() {
        return Ok(Engine::NoBuildx { detail: last_words(&version) });
    }
    let listing = listing?;
    // "github.com/docker/buildx 0.29.1+ds1 0.29.1+ds1-4"
    let buildx = version.stdout.split_whitespace().nth(1).unwrap_or_default().to_owned();
    if !listing.success() && listing.stderr.contains("unknown flag") {
        // A buildx without `--format` is too old, which says nothing about the engine.
        return Ok(Engine::Ready { buildx, builders: Vec::new() });
    }
    let builders: Vec<Builder> = listing
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .map(builder)
        .collect();
    // Of several errors, the one of the current builder matters.
    let current = builders.iter().filter(|builder| builder.current);
    let mut nodes = current.chain(&builders).flat_map(|builder| &builder.nodes);
    if !nodes.clone().any(|node| node.error.is_none()) {
        let detail = nodes.find_map(|node| node.error.clone());
        return Ok(Engine::NotRunning { detail: detail.unwrap_or_else(|| last_words(&listing)) });
    }
    Ok(Engine::Ready { buildx, builders })
}

fn docker<const N: usize>(arguments: [&str; N]) -> Invocation {
    Invocation::new("docker", arguments)
}

fn last_words(finished: &Finished) -> String {
    let mut lines = finished.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.next_back().unwrap_or_default().to_owned()
}

/// One line of `docker buildx ls --format json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    name: String,
    driver: String,
    #[serde(default)]
    current: bool,
    #[serde(default)]
    nodes: Option<Vec<ListedNode>>,
    #[serde(default)]
    err: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedNode {
    #[serde(default)]
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    platforms: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<std::collections::BTreeMap<String, String>>,
    #[serde(default, alias = "Error", alias = "LastError")]
    err: Option<String>,
}

fn builder(listed: Listed) -> Builder {
    let no_answer = listed.err;
    let node = |node: ListedNode| BuilderNode {
        error: node
            .err
            .or_else(|| no_answer.clone())
            .or_else(|| (node.status == "error").then(|| "it does not answer".to_owned())),
        name: node.name,
        status: node.status,
        buildkit: node.version,
        platforms: node
            .platforms
            .unwrap_or_default()
            .iter()
            // `linux/amd64*` marks a platform that was set by hand.
            .filter_map(|text| Platform::new(text.trim_end_matches('*')).ok())
            .collect(),
        // The worker of a containerd store names its containerd namespace; one with a graph
        // driver has none.
        containerd_store: node.labels.is_some_and(|labels| {
            labels.contains_key("org.mobyproject.buildkit.worker.containerd.namespace")
        }),
    };
    Builder {
        name: listed.name,
        driver: listed.driver,
        current: listed.current,
        nodes: listed.nodes.unwrap_or_default().into_iter().map(node).collect(),
    }
}
