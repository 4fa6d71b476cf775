//! What a rule sees of a Dockerfile: each stage as the steps that lead to it, those of the stages it
//! is based on first, each step with the folder and the variables it has.

use std::collections::BTreeMap;

use xtask_model::dockerfile::shell::Command;
use xtask_model::dockerfile::{Dockerfile, Instruction, Source, expand};
use xtask_model::ignore_file::BuildContext;

use super::Subject;

/// A Dockerfile, laid out for rules.
pub struct View<'a> {
    pub file: &'a Dockerfile,
    /// Values of the `ARG`s above the first `FROM`.
    pub values: BTreeMap<String, String>,
    pub context: &'a BuildContext,
    /// Each stage with its steps, in the file's order.
    pub stages: Vec<Stage<'a>>,
    /// Where the stage stands that is built.
    built: usize,
}

/// The steps that lead to a stage, from the image it begins with.
pub struct Stage<'a> {
    pub from: &'a Instruction,
    /// What the first of them is based on; never a stage.
    pub base: Source,
    pub steps: Vec<Step<'a>>,
}

/// One instruction of a stage.
pub struct Step<'a> {
    pub instruction: &'a Instruction,
    /// What a `RUN` runs.
    pub commands: Vec<Command>,
    /// The working folder, as far as the file says; absolute.
    pub folder: String,
    /// What `ARG` and `ENV` above it have set.
    pub variables: BTreeMap<String, String>,
}

impl<'a> View<'a> {
    pub fn new(file: &'a Dockerfile, subject: &Subject<'a>) -> Self {
        let values = file.values(subject.arguments);
        let stages = (0..file.stages.len())
            .filter_map(|position| Stage::of(file, position, &values, subject.arguments))
            .collect();
        // A target that does not exist is the build's to complain about.
        let built = file.position(subject.target).or_else(|| file.position(None)).unwrap_or(0);
        Self { file, values, context: subject.context, stages, built }
    }

    /// The stage that becomes the image.
    pub fn built(&self) -> Option<&Stage<'a>> {
        self.stages.get(self.built)
    }

    /// Every instruction of the file, once.
    pub fn instructions(&self) -> impl Iterator<Item = &'a Instruction> {
        let of_stages = self.file.stages.iter().flat_map(|stage| &stage.instructions);
        self.file.preamble.iter().chain(of_stages)
    }

    /// Every `RUN` of every stage.
    pub fn runs(&self) -> impl Iterator<Item = &Step<'a>> {
        self.stages.iter().flat_map(Stage::runs)
    }
}

impl<'a> Stage<'a> {
    fn of(
        file: &'a Dockerfile,
        position: usize,
        values: &BTreeMap<String, String>,
        given: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let chain = file.chain(values, position);
        let base = file.base(*chain.first()?, values);
        let stages = chain.iter().filter_map(|at| file.stages.get(*at));
        let mut folder = "/".to_owned();
        let mut variables = BTreeMap::new();
        let mut steps = Vec::new();
        for instruction in stages.flat_map(|stage| &stage.instructions) {
            match instruction.keyword.as_str() {
                "WORKDIR" => {
                    let path = instruction.words().join(" ");
                    folder = absolute(&folder, &expand(&path, &variables));
                }
                "ENV" | "ARG" => set(instruction, values, given, &mut variables),
                _ => {}
            }
            let runs = instruction.keyword == "RUN";
            let commands = if runs { instruction.commands() } else { Vec::new() };
            let (folder, variables) = (folder.clone(), variables.clone());
            steps.push(Step { instruction, commands, folder, variables });
        }
        Some(Self { from: &file.stages.get(position)?.from, base, steps })
    }

    pub fn runs(&self) -> impl Iterator<Item = &Step<'a>> {
        self.steps.iter().filter(|step| step.is("RUN"))
    }
}

/// Sets what an `ARG` or `ENV` sets. An `ARG` without a value takes that of the preamble.
fn set(
    instruction: &Instruction,
    values: &BTreeMap<String, String>,
    given: &BTreeMap<String, String>,
    variables: &mut BTreeMap<String, String>,
) {
    let is_argument = instruction.keyword == "ARG";
    for (name, value) in instruction.pairs() {
        let value = value.map(|value| expand(&value, variables));
        let value = if is_argument {
            given.get(&name).cloned().or(value).or_else(|| values.get(&name).cloned())
        } else {
            value
        };
        if let Some(value) = value {
            variables.insert(name, value);
        }
    }
}

impl Step<'_> {
    pub fn is(&self, keyword: &str) -> bool {
        self.instruction.keyword == keyword
    }

    pub fn line(&self) -> usize {
        self.instruction.line
    }

    /// Whether it copies files into the image, and from where: `None` for no copy.
    pub fn copied_from(&self) -> Option<Origin<'_>> {
        if !matches!(self.instruction.keyword.as_str(), "COPY" | "ADD") {
            return None;
        }
        Some(self.instruction.flag("from").map_or(Origin::Context, Origin::Other))
    }

    /// The sources and the destination of a copy.
    pub fn copied(&self) -> (Vec<String>, String) {
        let mut paths = self.instruction.operands();
        let destination = paths.pop().unwrap_or_default();
        (paths, self.path(&destination))
    }

    /// A path as it is in this step: absolute.
    pub fn path(&self, path: &str) -> String {
        absolute(&self.folder, &expand(path, &self.variables))
    }

    /// Where its mounts of these kinds are.
    pub fn mounted(&self, kinds: &[&str]) -> Vec<String> {
        let mounts = self.instruction.mounts().into_iter();
        let mounts = mounts.filter(|mount| kinds.contains(&mount.kind.as_str()));
        mounts.filter_map(|mount| mount.target).map(|target| self.path(&target)).collect()
    }

    /// Whether `path` or a folder above it is a mount that leaves nothing in the layer.
    pub fn leaves_nothing_at(&self, path: &str) -> bool {
        self.mounted(&["cache", "tmpfs"]).iter().any(|mount| is_below(path, mount))
    }

    /// The commands, each with the folder it runs in.
    pub fn commands_with_folders(&self) -> Vec<(&Command, String)> {
        let mut folder = self.folder.clone();
        let mut found = Vec::new();
        for command in &self.commands {
            if command.program() == "cd" {
                let to = command.operands().next().unwrap_or("~");
                folder = absolute(&folder, &expand(to, &self.variables));
            }
            found.push((command, folder.clone()));
        }
        found
    }
}

/// What a copy takes its files from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    Context,
    /// A stage or an image.
    Other(&'a str),
}

/// `path` below `folder`, without `.`, `..` and a `/` at its end; `~` is root's home.
pub fn absolute(folder: &str, path: &str) -> String {
    let home = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let whole = match home {
        Some(rest) => format!("/root{rest}"),
        None if path.starts_with('/') => path.to_owned(),
        None => format!("{folder}/{path}"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether `path` is `folder` or stands below it.
pub fn is_below(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
