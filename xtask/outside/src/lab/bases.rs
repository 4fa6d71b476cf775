//! Stand-ins for base images that cannot be pulled: a Debian made from the distribution's packages, and what
//! `lab/bases/` builds on it. Each has a label that says so.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::Runner;
use crate::{files, terminal, tools};
use xtask_model::invocation::Invocation;
use xtask_model::lab::{LabState, STAND_IN_LABEL, StandIn};
use xtask_model::reference::{Reference, Repository, Tag};

use super::{LabPaths, hash, left_behind};

/// The releases of Debian for stand-ins; any other tag gets the first.
const CODENAMES: [&str; 4] = ["bookworm", "trixie", "bullseye", "sid"];

/// The stand-in for `base`: its place, and a hash of what it is made from.
pub fn wanted(runner: &Runner, state: &LabState, base: &Reference) -> Result<StandIn> {
    let mut parts = vec![codename(base).as_bytes().to_vec(), apt_files()];
    if let Some(folder) = recipe(base) {
        for path in files::below(&folder)? {
            parts.push(path.to_string_lossy().into_owned().into_bytes());
            parts.push(std::fs::read(&path).with_context(|| path.display().to_string())?);
        }
        if needs_toolchain(&folder)? {
            parts.push(rustc(runner, &["--version", "--verbose"])?.into_bytes());
        }
    }
    Ok(StandIn {
        image: place(state, base)?,
        inputs: hash(parts.iter().map(Vec::as_slice)),
        mirrored: is_mirrored(state, base),
    })
}

/// Whether the lab's registry, as the mirror of Docker Hub, gives the engine the stand-in under the base's own
/// name. A stand-in cannot have a pinned digest.
fn is_mirrored(state: &LabState, base: &Reference) -> bool {
    base.registry.as_str() == "docker.io" && base.digest.is_none() && state.is_private()
}

/// The stand-in's place in the lab's registry: for a base from Docker Hub, where a mirror has it.
fn place(state: &LabState, base: &Reference) -> Result<Reference> {
    let registry = state.registry().context("the lab has no registry")?;
    let tag = base.tag.clone().unwrap_or_else(Tag::latest);
    let path = match base.registry.as_str() {
        "docker.io" => base.repository.clone(),
        other => {
            let name = other.replace([':', '.'], "-");
            Repository::new(format!("stand-ins/{name}/{}", base.repository))?
        }
    };
    Ok(Reference::new(registry, path).with_tag(tag))
}

/// Builds the stand-in for `name`, as a Dockerfile names it, and pushes it to the lab's registry.
pub fn make(runner: &Runner, place: &LabPaths, name: &str, stand_in: &StandIn) -> Result<()> {
    let base = &Reference::normalized(name)?;
    let debian = debian(runner, place, codename(base))?;
    let label = format!("{STAND_IN_LABEL}={name}");
    let settings = tempfile::tempdir()?;
    let Some(folder) = recipe(base) else {
        // Only the label differs: that of the Debian names another reference.
        let dockerfile = settings.path().join("Dockerfile");
        files::write_atomically(&dockerfile, b"FROM debian:bookworm\n")?;
        return build(runner, &stand_in.image, &label, &debian, settings.path(), &[]);
    };
    let mut contexts = Vec::new();
    if needs_toolchain(&folder)? {
        let sysroot = rustc(runner, &["--print", "sysroot"])?;
        contexts.push(format!("toolchain={}", sysroot.trim()));
        copy_cargo_settings(settings.path())?;
        contexts.push(format!("cargo-home={}", settings.path().display()));
    }
    build(runner, &stand_in.image, &label, &debian, &folder, &contexts)
}

fn build(
    runner: &Runner,
    image: &Reference,
    label: &str,
    debian: &str,
    folder: &Path,
    contexts: &[String],
) -> Result<()> {
    // zstd at its fastest: the lab's registry is on this machine.
    let output = format!(
        "type=image,name={image},push=true,compression=zstd,compression-level=1,\
         force-compression=true,oci-mediatypes=true,unpack=false,store=false"
    );
    let mut arguments = vec![
        "buildx".to_owned(),
        "build".to_owned(),
        format!("--label={label}"),
        "--provenance=false".to_owned(),
        format!("--output={output}"),
        format!("--build-context=debian:bookworm=docker-image://{debian}"),
    ];
    arguments.extend(contexts.iter().map(|context| format!("--build-context={context}")));
    arguments.push(folder.display().to_string());
    runner.output(&Invocation::new("docker", arguments)).map(drop)
}

/// The Debian that all stand-ins are based on, made once for each release; returns its reference in
/// the lab's registry.
fn debian(runner: &Runner, place: &LabPaths, codename: &str) -> Result<String> {
    let state = place.state().context("the lab has no state")?;
    let reference = format!("127.0.0.1:{}/lab/debian:{codename}", state.ports.front);
    let made = place.folder.join("bases").join(format!("debian-{codename}"));
    let inputs = hash([apt_files().as_slice(), codename.as_bytes()]);
    if std::fs::read_to_string(&made).is_ok_and(|text| text == inputs) {
        return Ok(reference);
    }
    clear(runner, place)?;
    let folder = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&place.folder)?;
    let done = bootstrap(runner, folder.path(), codename, &reference);
    // Whatever is still mounted there must not be deleted with it.
    if let Err(error) = left_behind::unmount(runner, &[folder.path()]) {
        let _ = folder.keep();
        return Err(error);
    }
    done?;
    files::write_atomically(&made, inputs.as_bytes())?;
    Ok(reference)
}

/// The prefix of the folders in which a Debian is made.
const UNFINISHED: &str = "debootstrap-";

/// Removes what a killed command left.
fn clear(runner: &Runner, place: &LabPaths) -> Result<()> {
    left_behind::end_debootstrap(place);
    let entries = std::fs::read_dir(&place.folder).into_iter().flatten().flatten();
    let unfinished =
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED));
    for path in unfinished.map(|entry| entry.path()) {
        left_behind::unmount(runner, &[&path])?;
        std::fs::remove_dir_all(&path)
            .with_context(|| format!("cannot delete `{}`", path.display()))?;
    }
    Ok(())
}

/// Makes a Debian in `folder`, and pushes it as `reference`.
fn bootstrap(runner: &Runner, folder: &Path, codename: &str, reference: &str) -> Result<()> {
    let mirror = mirror(runner)?;
    let root = folder.join("root");
    let call = Invocation::new(
        &tools::find("debootstrap").context("`debootstrap` is missing")?.to_string_lossy(),
        ["--variant=minbase", "--merged-usr", codename, &root.to_string_lossy(), &mirror],
    );
    terminal::message(&format!("$ {call}"));
    runner.output(&call)?;
    complete(runner, &root, codename, &mirror)?;
    let archive = folder.join("root.tar");
    let tar = ["--create", "--numeric-owner", "--file", &archive.to_string_lossy(), "--directory"]
        .map(str::to_owned)
        .into_iter()
        .chain([root.display().to_string(), ".".to_owned()]);
    runner.output(&Invocation::new("tar", tar))?;
    let label = format!("--change=LABEL {STAND_IN_LABEL}=debian:{codename}");
    let import =
        ["import", &label, "--change=CMD [\"bash\"]", &archive.to_string_lossy(), reference];
    runner.output(&Invocation::new("docker", import))?;
    let pushed = runner.output(&Invocation::new("docker", ["push", "--quiet", reference]));
    // The registry has it now, and the engine may not be ours.
    runner.clean_up(&Invocation::new("docker", ["image", "rm", reference]))?;
    pushed.map(drop)
}

/// Adds what a minimal Debian lacks to install packages in a build: sources, this machine's apt settings and
/// its certificates. Deletes what debootstrap downloaded.
fn complete(runner: &Runner, root: &Path, codename: &str, mirror: &str) -> Result<()> {
    let sources = format!("deb {mirror} {codename} main\ndeb {mirror} {codename}-updates main\n");
    files::write_atomically(&root.join("etc/apt/sources.list"), sources.as_bytes())?;
    let settings = root.join("etc/apt/apt.conf.d/90lab");
    files::write_atomically(&settings, apt_settings(runner)?.as_bytes())?;
    let bundle = root.join("etc/ssl/certs/ca-certificates.crt");
    if let Ok(certificates) = std::fs::read("/etc/ssl/certs/ca-certificates.crt") {
        files::write_atomically(&bundle, &certificates)?;
    }
    for path in [root.join("etc/apt/sources.list"), settings, bundle] {
        readable(&path)?;
    }
    for folder in ["var/cache/apt/archives", "var/lib/apt/lists", "var/log"] {
        let folder = root.join(folder);
        std::fs::remove_dir_all(&folder).and_then(|()| std::fs::create_dir_all(&folder))?;
    }
    std::fs::create_dir_all(root.join("var/cache/apt/archives/partial"))?;
    std::fs::create_dir_all(root.join("var/lib/apt/lists/partial"))?;
    Ok(())
}

/// apt reads its configuration as a different user.
fn readable(path: &Path) -> Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .with_context(|| format!("cannot make `{}` readable", path.display()))?;
    Ok(())
}

/// The archive that this machine's apt uses for Debian, else Debian's own.
fn mirror(runner: &Runner) -> Result<String> {
    let format = "$(ORIGIN) $(REPO_URI)";
    let call =
        Invocation::new("apt-get", ["indextargets", "--format", format, "Created-By: Packages"]);
    let listed = runner.output(&call)?;
    let found = listed.lines().find_map(|line| line.strip_prefix("Debian "));
    Ok(found.unwrap_or("http://deb.debian.org/debian").trim_end_matches('/').to_owned())
}

/// This machine's apt settings for proxies and dates, which a container needs too.
fn apt_settings(runner: &Runner) -> Result<String> {
    let dumped = runner.output(&Invocation::new("apt-config", ["dump"]))?;
    let kept = ["Acquire::Check-", "Acquire::http::Proxy", "Acquire::https::Proxy"];
    let lines = dumped.lines().filter(|line| kept.iter().any(|start| line.starts_with(start)));
    Ok(lines.flat_map(|line| [line, "\n"]).collect())
}

/// The files with those settings. Reading them is faster than asking apt, and happens with every `--lab`.
fn apt_files() -> Vec<u8> {
    let folder = files::below(Path::new("/etc/apt/apt.conf.d")).unwrap_or_default();
    let all = std::iter::once(PathBuf::from("/etc/apt/apt.conf")).chain(folder);
    all.filter_map(|path| std::fs::read(path).ok()).flatten().collect()
}

/// The folder with the stand-in of a base: `lab/bases/` and the last part of its name.
fn recipe(base: &Reference) -> Option<PathBuf> {
    let name = base.repository.as_str().rsplit('/').next()?;
    let folder = super::servers::folder().join("bases").join(name);
    folder.join("Dockerfile").is_file().then_some(folder)
}

fn needs_toolchain(folder: &Path) -> Result<bool> {
    Ok(files::read(&folder.join("Dockerfile"))?.contains("--from=toolchain"))
}

fn rustc(runner: &Runner, arguments: &[&str]) -> Result<String> {
    runner.output(&Invocation::new("rustc", arguments.iter().copied()))
}

/// This machine's source of crates, if it is not crates.io. Tokens are not copied.
fn copy_cargo_settings(folder: &Path) -> Result<()> {
    let home = std::env::home_dir().map(|home| home.join(".cargo"));
    let own = crate::environment::text("CARGO_HOME").map(PathBuf::from).or(home);
    let text = own.and_then(|own| std::fs::read_to_string(own.join("config.toml")).ok());
    files::write_atomically(&folder.join("config.toml"), text.unwrap_or_default().as_bytes())
}

fn codename(base: &Reference) -> &'static str {
    let tag = base.tag.as_ref().map_or("", |tag| tag.as_str());
    CODENAMES.into_iter().find(|name| tag.contains(name)).unwrap_or("bookworm")
}
