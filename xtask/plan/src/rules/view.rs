//! A Dockerfile as the rules see it: each stage as all its steps from the base image on, including the
//! steps of the stages it is based on. Each step knows its working directory and variables.

use std::collections::BTreeMap;

use xtask_model::dockerfile::shell::ShellCommand;
use xtask_model::dockerfile::{Dockerfile, Instruction, Source, expand};

/// The stages of a Dockerfile, in the file's order.
pub struct View<'a> {
    pub stages: Vec<StageView<'a>>,
    /// The index of the stage that becomes the image.
    built: usize,
}

/// All steps of a stage, from its base image on.
pub struct StageView<'a> {
    /// The image below the first step; never a stage.
    pub base: Source,
    pub steps: Vec<InstructionStep<'a>>,
}

/// One instruction of a stage.
pub struct InstructionStep<'a> {
    pub instruction: &'a Instruction,
    /// The commands of a `RUN`.
    pub commands: Vec<ShellCommand>,
    /// The absolute working directory, as far as the file determines it.
    folder: String,
    /// The variables that `ARG` and `ENV` set above this step.
    variables: BTreeMap<String, String>,
}

impl<'a> View<'a> {
    pub fn new(
        file: &'a Dockerfile,
        arguments: &BTreeMap<String, String>,
        target: Option<&str>,
    ) -> Self {
        let values = file.values(arguments);
        let stages = (0..file.stages.len())
            .filter_map(|position| StageView::new(file, position, &values, arguments))
            .collect();
        // The build itself reports a target that does not exist.
        let built = file.position(target).or_else(|| file.position(None)).unwrap_or(0);
        Self { stages, built }
    }

    /// The stage that becomes the image.
    pub fn built(&self) -> Option<&StageView<'a>> {
        self.stages.get(self.built)
    }
}

impl<'a> StageView<'a> {
    fn new(
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
            steps.push(InstructionStep { instruction, commands, folder, variables });
        }
        Some(Self { base, steps })
    }
}

/// Applies an `ARG` or `ENV`. An `ARG` without a value takes the value of the preamble.
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

impl InstructionStep<'_> {
    pub fn is(&self, keyword: &str) -> bool {
        self.instruction.keyword == keyword
    }

    pub fn line(&self) -> usize {
        self.instruction.line
    }

    /// Where a `COPY` or `ADD` takes its files from; `None` for any other instruction.
    pub fn copies_from(&self) -> Option<Origin> {
        if !matches!(self.instruction.keyword.as_str(), "COPY" | "ADD") {
            return None;
        }
        let from = self.instruction.flag("from");
        Some(if from.is_some() { Origin::Image } else { Origin::Context })
    }

    /// The sources and the destination of a copy.
    pub fn copied(&self) -> (Vec<String>, String) {
        let mut paths = self.instruction.operands();
        let destination = paths.pop().unwrap_or_default();
        (paths, self.path(&destination))
    }

    /// A path of this step, made absolute.
    fn path(&self, path: &str) -> String {
        absolute(&self.folder, &expand(path, &self.variables))
    }

    /// Whether `path` is in a cache or tmpfs mount, which leaves nothing in the layer.
    pub fn leaves_nothing_at(&self, path: &str) -> bool {
        self.instruction.mounts().into_iter().any(|mount| {
            let is_temporary = matches!(mount.kind.as_str(), "cache" | "tmpfs");
            let target = mount.target.filter(|_| is_temporary);
            target.is_some_and(|target| is_below(path, &self.path(&target)))
        })
    }

    /// The commands, each with its working directory.
    pub fn commands_with_folders(&self) -> Vec<(&ShellCommand, String)> {
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

/// Where a copy takes its files from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Context,
    /// Another stage or an image.
    Image,
}

/// `path` below `folder`, without `.`, `..` and a trailing `/`; `~` is root's home.
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

/// Whether `path` is `folder` or is below it.
pub fn is_below(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
