//! The rule about what a layer contains: a file stays in the layer that wrote it.

use xtask_model::dockerfile::shell::ShellCommand;

use super::rule::{Breach, Rule};
use super::view::{InstructionStep, View, absolute, is_below};

pub const LATE_CLEAN_UP: Rule = Rule {
    name: "late-clean-up",
    why: "a later layer hides a file of an earlier one, but the image still contains it",
    find: late_clean_up,
};

fn late_clean_up(view: &View<'_>) -> Vec<Breach> {
    let Some(built) = view.built() else { return Vec::new() };
    let mut found = Vec::new();
    // The line of each step, and the paths it wrote.
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
                found.push(Breach::new(
                    step.line(),
                    format!("the image keeps the files that line {line} wrote"),
                    format!(
                        "remove them in the same step (line {line}), or build in another stage"
                    ),
                ));
            }
        }
        here.extend(copied(step));
        here.retain(|path| !step.leaves_nothing_at(path));
        written.push((step.line(), here));
    }
    found
}

/// The paths that a command may write: those it names, and the caches of package managers.
fn mentioned(command: &ShellCommand, folder: &str) -> Vec<String> {
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

/// The paths that a `COPY` or `ADD` writes.
fn copied(step: &InstructionStep<'_>) -> Vec<String> {
    if step.copies_from().is_none() {
        return Vec::new();
    }
    let (sources, destination) = step.copied();
    let below = sources.iter().filter_map(|source| {
        let name = source.trim_end_matches('/').rsplit('/').next()?;
        Some(absolute(&destination, name))
    });
    below.chain([destination.clone()]).collect()
}
