//! Runs one `docker buildx build`, follows its progress stream, and reads what it leaves behind. It
//! decides nothing: what to build stands in the [`BuildSpec`].

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::model::build::{BuildSpec, Output};
use crate::model::invocation::Invocation;
use crate::model::reference::Digest;
use crate::model::solve::{Solve, Stall};

use super::process::{Runner, Watch};

/// What one build came to.
#[derive(Debug)]
pub struct Built {
    /// buildx's exit code; `None` when it was stopped.
    pub code: Option<i32>,
    /// What the builder waited for, when it was stopped for that.
    pub stall: Option<Stall>,
    pub seconds: f64,
    pub solve: Solve,
    pub image: Option<Image>,
}

impl Built {
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// The image that a build made.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the index or the manifest.
    pub digest: Digest,
    /// What the engine calls it; `docker run` takes it.
    pub id: String,
    /// Compressed bytes, where the engine tells them.
    pub size: Option<u64>,
}

/// How long a build may wait for something that may never come.
fn patience(stall: Stall) -> Duration {
    match stall {
        Stall::Import => Duration::from_secs(20),
        Stall::Beginning => Duration::from_secs(60),
    }
}

/// Builds. Each line of progress is written to the file `log` and then folded into a [`Solve`],
/// which `follow` sees. The engine is not asked about an image that is the `known` one again.
pub fn build(
    runner: &Runner,
    spec: &BuildSpec,
    log: &Path,
    known: Option<Image>,
    mut follow: impl FnMut(&Solve),
) -> Result<Built> {
    let metadata = tempfile::Builder::new().prefix("xtask-metadata-").suffix(".json").tempfile()?;
    let metadata_file = format!("--metadata-file={}", metadata.path().display());
    let call = watched(&spec.invocation(), vec!["--progress=rawjson".to_owned(), metadata_file]);
    let mut log = create(log)?;
    let begun = Instant::now();
    let mut solve = Solve::default();
    let mut stall = None;
    let code = runner.stream(&call, |line| {
        let now = begun.elapsed().as_secs_f64();
        if let Some(line) = line {
            solve.absorb(line, now);
            if let Some(text) = solve.take_log() {
                // A log that cannot be written must not end the build.
                let _ = log.write_all(text.as_bytes());
            }
        }
        follow(&solve);
        stall = solve
            .stalled(now)
            .filter(|(stall, seconds)| *seconds > patience(*stall).as_secs_f64())
            .map(|(stall, _)| stall);
        if stall.is_some() { Watch::Stop } else { Watch::Continue }
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let image = match code {
        Some(0) => read_image(runner, spec, metadata.path(), known)?,
        _ => None,
    };
    Ok(Built { code, stall, seconds, solve, image })
}

/// Runs the build with buildx's own display on the terminal.
pub fn hand_over(runner: &Runner, spec: &BuildSpec) -> Result<()> {
    runner.hand_over(&spec.invocation())
}

/// The command with what is needed to watch it, which changes nothing of what it builds.
fn watched(call: &Invocation, flags: Vec<String>) -> Invocation {
    call.clone().with_arguments_at(2, flags)
}

fn create(path: &Path) -> Result<std::fs::File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::File::create(path))
        .with_context(|| format!("cannot write the log `{}`", path.display()))
}

/// The part of `--metadata-file` that is read.
#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "containerimage.digest")]
    digest: Option<Digest>,
    #[serde(rename = "containerimage.config.digest")]
    config: Option<String>,
}

fn read_image(
    runner: &Runner,
    spec: &BuildSpec,
    path: &Path,
    known: Option<Image>,
) -> Result<Option<Image>> {
    let text = super::files::read(path)?;
    let metadata: Metadata =
        serde_json::from_str(&text).context("buildx wrote metadata in an unknown form")?;
    let Some(digest) = metadata.digest else { return Ok(None) };
    let Output::Load { tag } = &spec.output else {
        return Ok(Some(Image { id: digest.to_string(), digest, size: None }));
    };
    if let Some(known) = known.filter(|known| known.digest == digest && known.size.is_some()) {
        return Ok(Some(known));
    }
    // With containerd's store an image is known by its digest, without it by its configuration's.
    let names = [tag.clone(), Some(digest.to_string()), metadata.config];
    let inspected = names.into_iter().flatten().find_map(|name| inspect(runner, &name));
    Ok(inspected.map(|(id, size)| Image { digest, id, size }))
}

/// The part of `docker image inspect` that is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    size: u64,
    /// Only containerd's store has one.
    descriptor: Option<serde_json::Value>,
}

/// Id and compressed size of an image in the engine. A graph driver tells the unpacked size, which
/// is another number, so there is none then.
fn inspect(runner: &Runner, name: &str) -> Option<(String, Option<u64>)> {
    let finished = runner.finish(&Invocation::new("docker", ["image", "inspect", name])).ok()?;
    let found: Vec<Inspected> = serde_json::from_str(&finished.stdout).ok()?;
    let image = found.into_iter().next()?;
    Some((image.id, image.descriptor.map(|_| image.size)))
}
