//! Runs one `docker buildx build` as a [`BuildSpec`] says, follows its progress, and reads its result.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

use xtask_model::build::{BuildSpec, Output};
use xtask_model::failure::Interrupted;
use xtask_model::invocation::Invocation;
use xtask_model::reference::Digest;
use xtask_model::solve::{Solve, Stall};

use super::process::{Runner, Watch};
use super::records::Log;

/// The result of one build.
#[derive(Debug)]
pub struct Built {
    pub end: End,
    pub seconds: f64,
    pub solve: Solve,
    pub image: Option<Image>,
}

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// buildx ended by itself, with this exit code.
    Exited(i32),
    /// It was stopped, because the builder waited for something that may never come.
    Stalled(Stall),
    /// The user stopped it.
    Interrupted,
}

impl Built {
    pub fn success(&self) -> bool {
        self.end == End::Exited(0)
    }
}

/// The image that a build made.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the index or the manifest.
    pub digest: Digest,
    /// The engine's name for it, for `docker run`.
    pub id: String,
    /// Compressed bytes, if the engine reports them.
    pub size: Option<u64>,
}

/// How long a build may stall.
fn limit(stall: Stall) -> Duration {
    match stall {
        Stall::Import => Duration::from_secs(20),
        Stall::Beginning => Duration::from_secs(60),
        // Sending a layer of some gigabytes prints nothing in between.
        Stall::Export => Duration::from_secs(15 * 60),
    }
}

/// Builds. Each line of progress is written to `log` and then folded into a [`Solve`], which `follow` sees.
/// The engine is not asked about an image that equals the `known` one.
pub fn build(
    runner: &Runner,
    spec: &BuildSpec,
    log: &Log,
    known: Option<Image>,
    mut follow: impl FnMut(&Solve),
) -> Result<Built> {
    let metadata = BuildMetadata::file()?;
    let flags = vec!["--progress=rawjson".to_owned(), BuildMetadata::flag(&metadata)];
    let call = watched(&spec.invocation(), flags);
    let begun = Instant::now();
    let mut solve = Solve::default();
    let mut stall = None;
    let code = BuildMetadata::quick(runner).stream(&call, |line| {
        let now = begun.elapsed().as_secs_f64();
        if let Some(line) = line {
            solve.absorb(line, now);
            if let Some(text) = solve.take_log() {
                log.write(&text);
            }
        }
        follow(&solve);
        stall = solve
            .stalled(now)
            .filter(|(stall, seconds)| *seconds > limit(*stall).as_secs_f64())
            .map(|(stall, _)| stall);
        if stall.is_some() { Watch::Stop } else { Watch::Continue }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let end = ended(code, stall)?;
    let image = match end {
        End::Exited(0) => read_image(runner, spec, metadata.path(), known)?,
        _ => None,
    };
    Ok(Built { end, seconds, solve, image })
}

/// Runs the build with buildx's own display on the terminal. Its steps are not recorded.
pub fn hand_over(runner: &Runner, spec: &BuildSpec, known: Option<Image>) -> Result<Built> {
    let metadata = BuildMetadata::file()?;
    let call = watched(&spec.invocation(), vec![BuildMetadata::flag(&metadata)]);
    let begun = Instant::now();
    let code = BuildMetadata::quick(runner).hand_over_for_code(&call);
    let seconds = begun.elapsed().as_secs_f64();
    let end = ended(code.map(|code| code.or(Some(-1))), None)?;
    let image = match end {
        End::Exited(0) => read_image(runner, spec, metadata.path(), known)?,
        _ => None,
    };
    Ok(Built { end, seconds, solve: Solve::default(), image })
}

fn ended(code: Result<Option<i32>>, stall: Option<Stall>) -> Result<End> {
    match (code, stall) {
        (Err(error), _) if error.is::<Interrupted>() => Ok(End::Interrupted),
        (Err(error), _) => Err(error),
        (Ok(Some(code)), _) => Ok(End::Exited(code)),
        (Ok(None), Some(stall)) => Ok(End::Stalled(stall)),
        (Ok(None), None) => Ok(End::Interrupted),
    }
}

/// The command with the options to watch it. They change nothing in the image.
fn watched(call: &Invocation, flags: Vec<String>) -> Invocation {
    call.clone().with_arguments_at(2, flags)
}

/// The part of `--metadata-file` that is read.
#[derive(Deserialize)]
struct BuildMetadata {
    #[serde(rename = "containerimage.digest")]
    digest: Option<Digest>,
    #[serde(rename = "containerimage.config.digest")]
    config: Option<String>,
}

impl BuildMetadata {
    fn file() -> Result<tempfile::NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("xtask-metadata-").suffix(".json").tempfile().context("no temporary file")
    }

    /// Without the provenance, which is not read and which buildx fetches after the build.
    fn quick(runner: &Runner) -> Runner {
        runner.clone().with_variable("BUILDX_METADATA_PROVENANCE", "disabled")
    }

    fn flag(file: &tempfile::NamedTempFile) -> String {
        format!("--metadata-file={}", file.path().display())
    }
}

fn read_image(
    runner: &Runner,
    spec: &BuildSpec,
    path: &Path,
    known: Option<Image>,
) -> Result<Option<Image>> {
    let text = super::files::read(path)?;
    let metadata: BuildMetadata =
        serde_json::from_str(&text).context("buildx wrote metadata in an unknown form")?;
    let Some(digest) = metadata.digest else { return Ok(None) };
    let Output::Load { tag } = &spec.output else {
        return Ok(Some(Image { id: digest.to_string(), digest, size: None }));
    };
    if let Some(known) = known.filter(|known| known.digest == digest && known.size.is_some()) {
        return Ok(Some(known));
    }
    // containerd's store names an image by its digest, a graph driver by its configuration's digest.
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
    /// Only containerd's store reports it.
    descriptor: Option<serde_json::Value>,
}

/// Id and compressed size of an image in the engine. A graph driver reports the unpacked size, which
/// is another number, so there is none then.
fn inspect(runner: &Runner, name: &str) -> Option<(String, Option<u64>)> {
    let finished = runner.finish(&Invocation::new("docker", ["image", "inspect", name])).ok()?;
    let found: Vec<Inspected> = serde_json::from_str(&finished.stdout).ok()?;
    let image = found.into_iter().next()?;
    Some((image.id, image.descriptor.map(|_| image.size)))
}
