//! Rules about what a layer holds: what was written stays, what is mounted is not in it, and what
//! stands under a volume is hidden.

use xtask_model::dockerfile::shell::Command;

use super::view::{Stage, Step, View, absolute, is_below};
use super::{Found, Rule};

pub const LATE_CLEAN_UP: Rule = Rule {
    name: "late-clean-up",
    why: "what one layer wrote, another cannot take out of the image: it is only hidden",
    find: late_clean_up,
};

fn late_clean_up(view: &View<'_>) -> Vec<Found> {
    let Some(built) = view.built() else { return Vec::new() };
    let mut found = Vec::new();
    // Each step's line with what it wrote.
    let mut written: Vec<(usize, Vec<String>)> = Vec::new();
    for step in &built.steps {
        let mut here = Vec::new();
        for (command, folder) in step.commands_with_folders() {
            if command.program() != "rm" {
                here.extend(mentioned(command, &folder));
                continue;
            }
            let removed: Vec<String> = command
                .operands()
                .map(|word| absolute(&folder, word.trim_end_matches('*')))
                .filter(|path| path != "/")
                .collect();
            let touches = |paths: &[String]| {
                paths.iter().any(|path| removed.iter().any(|removed| is_below(path, removed)))
            };
            let earlier = written.iter().find(|(_, paths)| touches(paths));
            if let (Some((line, _)), false) = (earlier, touches(&here)) {
                found.push(Found::new(
                    step.line(),
                    format!("what line {line} wrote stays in the image"),
                    format!("remove it in the step of line {line}, or build in another stage"),
                ));
            }
        }
        here.extend(copied(step));
        here.retain(|path| !step.leaves_nothing_at(path));
        written.push((step.line(), here));
    }
    found
}

/// Paths that a command may have written: those it names, and those it is known to write.
fn mentioned(command: &Command, folder: &str) -> Vec<String> {
    const READERS: [&str; 14] = [
        "cat", "ls", "test", "[", "grep", "echo", "cd", "set", "true", "which", "find", "head",
        "tail", "printf",
    ];
    let mut paths: Vec<String> =
        command.outputs.iter().map(|output| absolute(folder, output)).collect();
    let mut operands = command.operands();
    match (command.program(), operands.next()) {
        ("apt-get" | "apt", Some("update")) => paths.push("/var/lib/apt/lists".to_owned()),
        ("apk", Some("add" | "update")) if !command.has(&["--no-cache"]) => {
            paths.push("/var/cache/apk".to_owned());
        }
        ("dnf" | "microdnf", Some(_)) => paths.push("/var/cache/dnf".to_owned()),
        ("yum", Some(_)) => paths.push("/var/cache/yum".to_owned()),
        ("pip" | "pip3", Some("install")) if !command.has(&["--no-cache-dir"]) => {
            paths.push("/root/.cache/pip".to_owned());
        }
        ("npm", Some("ci" | "install")) => {
            paths.extend(["/root/.npm".to_owned(), absolute(folder, "node_modules")]);
        }
        (program, Some(_)) if !READERS.contains(&program) => {
            paths.extend(command.operands().map(|word| absolute(folder, word)));
        }
        _ => {}
    }
    paths
}

/// Paths that `COPY` and `ADD` write.
fn copied(step: &Step<'_>) -> Vec<String> {
    if step.copied_from().is_none() {
        return Vec::new();
    }
    let (sources, destination) = step.copied();
    let below = sources.iter().filter_map(|source| {
        let name = source.trim_end_matches('/').rsplit('/').next()?;
        Some(absolute(&destination, name))
    });
    below.chain([destination.clone()]).collect()
}

pub const CACHE_MOUNT: Rule = Rule {
    name: "cache-mount",
    why: "what a cache mount holds is never exported: it is in no image, and CI starts without it",
    find: cache_mount,
};

fn cache_mount(view: &View<'_>) -> Vec<Found> {
    const RESULTS: [&str; 6] = ["target", "node_modules", "dist", "build", ".venv", "vendor"];
    let mut found = Vec::new();
    for step in view.runs() {
        let is_result =
            |path: &&String| path.rsplit('/').next().is_some_and(|name| RESULTS.contains(&name));
        let mounts = step.mounted(&["cache"]);
        let Some(mount) = mounts.iter().find(is_result) else { continue };
        let takes_out = step.commands_with_folders().into_iter().any(|(command, folder)| {
            let mut paths = command.operands().map(|word| absolute(&folder, word));
            matches!(command.program(), "cp" | "mv" | "install" | "rsync" | "tar")
                && paths.any(|path| is_below(&path, mount))
        });
        let detail = if takes_out {
            format!("`{mount}` is empty on every machine but this one, and all of it is made again")
        } else {
            format!("what is made in `{mount}` is in no layer: neither the image nor CI has it")
        };
        let remedy = "leave the mount away and let dependencies have a layer of their own";
        found.push(Found::new(step.line(), detail, remedy));
    }
    found
}

pub const BELOW_VOLUME: Rule = Rule {
    name: "below-volume",
    why: "what is written under a volume after `VOLUME` is dropped by some builders, and hidden by \
          any volume that exists already",
    find: below_volume,
};

fn below_volume(view: &View<'_>) -> Vec<Found> {
    view.stages.iter().flat_map(below_volume_in).collect()
}

fn below_volume_in(stage: &Stage<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    let mut volumes: Vec<(usize, String)> = Vec::new();
    for step in &stage.steps {
        if step.is("VOLUME") {
            let paths = step.instruction.operands();
            volumes.extend(paths.iter().map(|path| (step.line(), step.path(path))));
        }
        let commands = step.commands_with_folders();
        let mut written = copied(step);
        written.extend(commands.iter().flat_map(|(command, folder)| mentioned(command, folder)));
        let below = |volume: &&(usize, String)| {
            !step.leaves_nothing_at(&volume.1)
                && written.iter().any(|path| is_below(path, &volume.1))
        };
        if let Some((line, volume)) = volumes.iter().find(below) {
            found.push(Found::new(
                step.line(),
                format!("it writes below `{volume}`, a volume since line {line}"),
                format!("move it above line {line}, or VOLUME below it"),
            ));
        }
    }
    found
}
