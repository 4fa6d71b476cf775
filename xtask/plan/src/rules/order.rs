//! Rules about the order of instructions: what makes a slow step run again, and which copies depend on
//! the layers below without need.

use xtask_model::dockerfile::Source;
use xtask_model::dockerfile::shell::ShellCommand;

use super::rule::{Breach, Rule};
use super::view::{InstructionStep, Origin, StageView, View};

pub const VOLATILE_ABOVE_RUN: Rule = Rule {
    name: "volatile-above-run",
    why: "an `ARG` or `ENV` that changes with every commit re-runs every `RUN` below it, even one that \
          does not use it",
    find: volatile_above_run,
};

fn volatile_above_run(view: &View<'_>) -> Vec<Breach> {
    view.stages.iter().flat_map(volatile_in).collect()
}

fn volatile_in(stage: &StageView<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, String)> = Vec::new();
    for step in &stage.steps {
        match step.instruction.keyword.as_str() {
            "ARG" | "ENV" => {
                for (name, value) in step.instruction.pairs() {
                    let value = value.unwrap_or_default();
                    let takes = open.iter().any(|(_, other)| refers(&value, other));
                    if takes || is_volatile(&name) {
                        open.push((step.line(), name));
                    }
                }
            }
            "RUN" => {
                // A step that uses the variable must run again, and so must every later step.
                let unused = |(_, name): &(usize, String)| !uses(step, name);
                found.extend(open.drain(..).filter(unused).map(|(line, name)| {
                    let run = step.line();
                    Breach::new(
                        line,
                        format!("`{name}` changes with every commit and re-runs line {run}"),
                        format!("move `{name}` below line {run}, or set it with --label"),
                    )
                }));
            }
            _ => {}
        }
    }
    found
}

/// Whether the name sounds like a value that changes with every commit or build.
fn is_volatile(name: &str) -> bool {
    const WHOLE: [&str; 8] = [
        "VERSION",
        "APP_VERSION",
        "IMAGE_VERSION",
        "BUILD_VERSION",
        "RELEASE_VERSION",
        "SOURCE_DATE_EPOCH",
        "GITHUB_RUN_ID",
        "GITHUB_RUN_NUMBER",
    ];
    const PARTS: [&str; 14] = [
        "REVISION",
        "COMMIT",
        "GIT_SHA",
        "GIT_REF",
        "GIT_HASH",
        "GIT_TAG",
        "GITHUB_SHA",
        "VCS_REF",
        "BUILD_DATE",
        "BUILD_TIME",
        "BUILD_NUMBER",
        "BUILD_ID",
        "CREATED",
        "TIMESTAMP",
    ];
    let name = name.to_ascii_uppercase();
    WHOLE.contains(&name.as_str()) || PARTS.iter().any(|part| name.contains(part))
}

/// Whether a step uses the variable.
fn uses(step: &InstructionStep<'_>, name: &str) -> bool {
    let documents = step.instruction.documents.iter().map(String::as_str);
    documents.chain([step.instruction.arguments.as_str()]).any(|text| refers(text, name))
}

/// Whether `text` contains `$NAME` or `${NAME…}`.
fn refers(text: &str, name: &str) -> bool {
    text.split('$').skip(1).any(|after| {
        let after = after.strip_prefix('{').unwrap_or(after);
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        after.strip_prefix(name).is_some_and(ends)
    })
}

pub const WIDE_COPY: Rule = Rule {
    name: "wide-copy",
    why: "when the whole context is copied before dependencies are installed, a change to any file \
          installs them again",
    find: wide_copy,
};

fn wide_copy(view: &View<'_>) -> Vec<Breach> {
    view.stages.iter().flat_map(wide_copy_in).collect()
}

fn wide_copy_in(stage: &StageView<'_>) -> Vec<Breach> {
    let mut wide = None;
    let mut installed: Vec<Installer> = Vec::new();
    for step in &stage.steps {
        if takes_whole_context(step) {
            wide = wide.or(Some(step.line()));
        }
        for installer in step.commands.iter().filter_map(installer) {
            let again = installer != Installer::System && installed.contains(&installer);
            match wide.filter(|_| !again) {
                None => installed.push(installer),
                Some(line) => {
                    return vec![Breach::new(
                        line,
                        format!(
                            "a change to any file re-runs the installation of line {}",
                            step.line()
                        ),
                        "copy the lock file, install the dependencies, then copy the rest",
                    )];
                }
            }
        }
    }
    Vec::new()
}

/// A `COPY . …`, or a `RUN` that mounts the whole context.
fn takes_whole_context(step: &InstructionStep<'_>) -> bool {
    let is_whole = |path: &str| matches!(path, "." | "./" | "/" | "*" | "./*");
    match step.copies_from() {
        Some(Origin::Context) => step.copied().0.iter().any(|path| is_whole(path)),
        Some(Origin::Image) => false,
        None => step.instruction.mounts().iter().any(|mount| {
            let source = mount.source.as_deref();
            mount.kind == "bind" && mount.from.is_none() && source.is_none_or(is_whole)
        }),
    }
}

/// The kind of package manager that a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Installer {
    /// Packages of the distribution, which never depend on the source code.
    System,
    Node,
    Python,
    Rust,
    Ruby,
    Go,
    Php,
    Jvm,
    Dotnet,
}

fn installer(command: &ShellCommand) -> Option<Installer> {
    let words: Vec<&str> = command.operands().filter(|word| !word.starts_with('+')).collect();
    let first = words.first().copied().unwrap_or_default();
    let installs = matches!(first, "install" | "i" | "ci" | "add" | "sync");
    let found = match command.program() {
        "apt-get" | "apt" | "dnf" | "yum" | "microdnf" if words.contains(&"install") => {
            Installer::System
        }
        "apk" if words.contains(&"add") => Installer::System,
        "npm" | "pnpm" if installs => Installer::Node,
        "yarn" if installs || first.is_empty() => Installer::Node,
        "pip" | "pip3" | "poetry" | "pipenv" | "uv" if installs => Installer::Python,
        "uv" | "python" | "python3" if words.starts_with(&["pip", "install"]) => Installer::Python,
        "cargo" if matches!(first, "build" | "fetch" | "install" | "chef") => Installer::Rust,
        "bundle" if installs => Installer::Ruby,
        "go" if words.starts_with(&["mod", "download"]) => Installer::Go,
        "composer" if installs => Installer::Php,
        "mvn" if first.starts_with("dependency:") => Installer::Jvm,
        "dotnet" if first == "restore" => Installer::Dotnet,
        _ => return None,
    };
    Some(found)
}

pub const COPY_WITHOUT_LINK: Rule = Rule {
    name: "copy-without-link",
    why: "a `COPY --link` layer is independent: a change below keeps it cached, and a change to it \
          pulls nothing from below",
    find: copy_without_link,
};

fn copy_without_link(view: &View<'_>) -> Vec<Breach> {
    let Some(built) = view.built() else { return Vec::new() };
    let last_run = built.steps.iter().rposition(|step| step.is("RUN"));
    // The first layer of an image from `scratch` depends on nothing anyway.
    let mut has_layer_below = built.base != Source::Scratch;
    let mut found = Vec::new();
    for (at, step) in built.steps.iter().enumerate() {
        let may_be_read = last_run.is_some_and(|last| at < last);
        let helps = has_layer_below
            && match step.copies_from() {
                Some(Origin::Image) => true,
                Some(Origin::Context) => !may_be_read,
                None => false,
            };
        has_layer_below |= step.is("RUN") || step.copies_from().is_some();
        let named_owner = step.instruction.flag("chown").is_some_and(|owner| !is_numeric(owner));
        if helps && !named_owner && !step.instruction.switch("link") {
            let keyword = &step.instruction.keyword;
            found.push(Breach::new(
                step.line(),
                "a change here or below rebuilds the copy and pulls the layers below",
                format!("write `{keyword} --link …`"),
            ));
        }
    }
    found
}

/// Whether `USER[:GROUP]` is numeric; a name needs `/etc/passwd` of the layers below.
fn is_numeric(owner: &str) -> bool {
    owner.split(':').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
}
