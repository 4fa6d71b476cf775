//! Rules about what a container of the image does: who it runs as, and whether signals reach it.

use xtask_model::dockerfile::{Instruction, Source, expand};

use super::view::View;
use super::{Found, Rule};

pub const ROOT_USER: Rule = Rule {
    name: "root-user",
    why: "a program that runs as root, and is broken into, is root on all that is mounted",
    find: root_user,
};

fn root_user(view: &View<'_>) -> Vec<Found> {
    let Some(built) = view.built() else { return Vec::new() };
    let has = |keyword: &str| built.steps.iter().any(|step| step.is(keyword));
    let user = built.steps.iter().rfind(|step| step.is("USER"));
    let found = match (user, &built.base) {
        (Some(step), _) => {
            let user = expand(&step.instruction.arguments, &step.variables);
            let name = user.split(':').next().unwrap_or_default();
            matches!(name, "root" | "0").then(|| (step.line(), format!("`USER {user}` is root")))
        }
        // An image of nothing but files runs nothing.
        (None, Source::Scratch) if !has("CMD") && !has("ENTRYPOINT") => None,
        (None, Source::Image(image)) if image.contains("nonroot") => None,
        (None, Source::Image(image)) => {
            let detail = format!("no USER: it runs as `{image}` does, which is root as a rule");
            Some((built.from.line, detail))
        }
        (None, _) => Some((built.from.line, "no USER: it runs as root".to_owned())),
    };
    let remedy = "write `USER 65532:65532` below what needs root, or allow it and say why";
    found.map(|(line, detail)| Found::new(line, detail, remedy)).into_iter().collect()
}

pub const SHELL_FORM: Rule = Rule {
    name: "shell-form",
    why: "in shell form a shell is the first process, which passes on no SIGTERM; an image without a \
          shell cannot run it at all",
    find: shell_form,
};

fn shell_form(view: &View<'_>) -> Vec<Found> {
    let of = |instruction: &Instruction| {
        let (what, arguments) = match instruction.keyword.as_str() {
            keyword @ ("CMD" | "ENTRYPOINT") => (keyword, instruction.arguments.as_str()),
            "HEALTHCHECK" => {
                let (keyword, rest) = instruction.arguments.split_once(char::is_whitespace)?;
                let is_command = keyword.eq_ignore_ascii_case("cmd");
                ("HEALTHCHECK CMD", is_command.then(|| rest.trim_start())?)
            }
            _ => return None,
        };
        if arguments.is_empty() || serde_json::from_str::<Vec<String>>(arguments).is_ok() {
            return None;
        }
        let detail = match (arguments.starts_with('['), what) {
            (true, _) => format!("{what} looks like JSON and is none, so that a shell runs it"),
            (false, "HEALTHCHECK CMD") => format!("{what} starts a shell for each check"),
            (false, _) => format!("{what} in shell form does not pass on SIGTERM"),
        };
        let remedy = format!("write `{what} [\"PROGRAM\", \"ARGUMENT\"]`, with double quotes");
        Some(Found::new(instruction.line, detail, remedy))
    };
    view.instructions().filter_map(of).collect()
}
