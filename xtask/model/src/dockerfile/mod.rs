//! A Dockerfile: its stages, their base images, and the stages that a target needs. Anything invalid
//! beyond that is left for BuildKit to report.
//!
//! Source: the Dockerfile reference and the parser of moby/buildkit.

mod instruction;
pub mod shell;
#[cfg(test)]
mod tests;
mod variables;

use std::collections::BTreeMap;

use instruction::instructions;
pub use instruction::{Instruction, Mount};
pub use variables::expand;

/// The stages of a Dockerfile, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// `ARG`s above the first `FROM`.
    pub preamble: Vec<Instruction>,
    pub stages: Vec<Stage>,
    /// The comments below the last instruction, each with its line number.
    pub trailing_comments: Vec<(usize, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    pub from: Instruction,
    /// Lower case, because BuildKit ignores the case.
    name: Option<String>,
    /// The image or stage of `FROM`, with unexpanded variables.
    base: String,
    /// The instructions below `FROM`.
    pub instructions: Vec<Instruction>,
}

/// Why a Dockerfile cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileError {
    /// Counted from 1.
    pub line: usize,
    pub problem: String,
}

/// What a name in a Dockerfile refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Stage(usize),
    Image(String),
    /// The empty image.
    Scratch,
    /// A name with a variable that only BuildKit knows, such as `$TARGETARCH`.
    Unresolved,
}

impl Dockerfile {
    pub fn parse(text: &str) -> Result<Self, DockerfileError> {
        let (instructions, trailing_comments) = instructions(text);
        let mut file = Self { preamble: Vec::new(), stages: Vec::new(), trailing_comments };
        for instruction in instructions {
            let line = instruction.line;
            match (instruction.keyword.as_str(), file.stages.last_mut()) {
                ("FROM", _) => {
                    let problem = "expected `FROM [--platform=…] IMAGE [AS NAME]`";
                    let stage = Stage::parse(instruction)
                        .ok_or_else(|| DockerfileError { line, problem: problem.to_owned() })?;
                    file.stages.push(stage);
                }
                (_, Some(stage)) => stage.instructions.push(instruction),
                ("ARG", None) => file.preamble.push(instruction),
                (_, None) => {}
            }
        }
        if file.stages.is_empty() {
            return Err(DockerfileError { line: 1, problem: "no `FROM` instruction".to_owned() });
        }
        Ok(file)
    }

    /// The images that a build of `target` (by default the last stage) needs, each once, in the order
    /// of the file. `arguments` are the build arguments.
    pub fn bases(&self, arguments: &BTreeMap<String, String>, target: Option<&str>) -> Vec<String> {
        let values = self.values(arguments);
        let mut bases = Vec::new();
        for position in self.reached(&values, target) {
            for name in self.stages.get(position).map(Stage::names).unwrap_or_default() {
                match self.source(&name, position, &values) {
                    Source::Image(image) if !bases.contains(&image) => bases.push(image),
                    _ => {}
                }
            }
        }
        bases
    }

    /// The secrets that a build of `target` requires, each with its line.
    pub fn secrets(
        &self,
        arguments: &BTreeMap<String, String>,
        target: Option<&str>,
    ) -> Vec<(String, usize)> {
        let reached = self.reached(&self.values(arguments), target);
        let stages = reached.iter().filter_map(|position| self.stages.get(*position));
        let instructions = stages.flat_map(|stage| &stage.instructions);
        instructions
            .flat_map(|instruction| {
                let mounts = instruction.mounts().into_iter();
                mounts.filter_map(|mount| Some((mount.secret()?, instruction.line)))
            })
            .collect()
    }

    /// The base image of the final image, through any number of stages; `None` for `scratch`.
    pub fn final_base(
        &self,
        arguments: &BTreeMap<String, String>,
        target: Option<&str>,
    ) -> Option<String> {
        let values = self.values(arguments);
        let first = *self.chain(&values, self.position(target)?).first()?;
        match self.base(first, &values) {
            Source::Image(image) => Some(image),
            _ => None,
        }
    }

    /// Whether `--target` can name this stage.
    pub fn has_stage(&self, target: &str) -> bool {
        self.position(Some(target)).is_some()
    }

    /// The index of the stage that `--target` names, by default the last one.
    pub fn position(&self, target: Option<&str>) -> Option<usize> {
        match target {
            None => self.stages.len().checked_sub(1),
            Some(name) => self.named(name, self.stages.len()),
        }
    }

    /// The stage `name`, a name or a number, among the first `below`.
    fn named(&self, name: &str, below: usize) -> Option<usize> {
        let lower = name.to_ascii_lowercase();
        let by_name =
            self.stages.iter().take(below).rposition(|stage| stage.name.as_ref() == Some(&lower));
        by_name.or_else(|| name.parse().ok().filter(|&number: &usize| number < below))
    }

    /// What `name` refers to in the stage at position `below`.
    fn source(&self, name: &str, below: usize, values: &BTreeMap<String, String>) -> Source {
        let expanded = expand(name, values);
        match self.named(&expanded, below) {
            Some(stage) => Source::Stage(stage),
            None if expanded == "scratch" => Source::Scratch,
            None if expanded.is_empty() || expanded.contains('$') => Source::Unresolved,
            None => Source::Image(expanded),
        }
    }

    /// The base of the stage at `position`.
    pub fn base(&self, position: usize, values: &BTreeMap<String, String>) -> Source {
        let stage = self.stages.get(position);
        stage.map_or(Source::Unresolved, |stage| self.source(&stage.base, position, values))
    }

    /// The stages below the stage at `position`, and that stage itself, in build order.
    pub fn chain(&self, values: &BTreeMap<String, String>, position: usize) -> Vec<usize> {
        let mut chain = vec![position];
        let mut at = position;
        // The loop ends because a stage can only be based on an earlier one.
        while let Source::Stage(earlier) = self.base(at, values) {
            chain.insert(0, earlier);
            at = earlier;
        }
        chain
    }

    /// The stages that the target needs, in the order of the file.
    fn reached(&self, values: &BTreeMap<String, String>, target: Option<&str>) -> Vec<usize> {
        let mut reached = Vec::new();
        let mut open: Vec<usize> = self.position(target).into_iter().collect();
        while let Some(position) = open.pop() {
            if reached.contains(&position) {
                continue;
            }
            reached.push(position);
            let names = self.stages.get(position).map(Stage::names).unwrap_or_default();
            open.extend(names.iter().filter_map(
                |name| match self.source(name, position, values) {
                    Source::Stage(earlier) => Some(earlier),
                    _ => None,
                },
            ));
        }
        reached.sort_unstable();
        reached
    }

    /// The values of the `ARG`s above the first `FROM`, with these build arguments.
    pub fn values(&self, given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        for (name, default) in self.preamble.iter().flat_map(Instruction::pairs) {
            let default = default.map(|text| expand(&text, &values));
            if let Some(value) = given.get(&name).cloned().or(default) {
                values.insert(name, value);
            }
        }
        values
    }
}

impl Stage {
    fn parse(from: Instruction) -> Option<Self> {
        let words = from.words();
        let (base, name) = match words.as_slice() {
            [base] => (base.clone(), None),
            [base, keyword, name] if keyword.eq_ignore_ascii_case("as") => {
                (base.clone(), Some(name.to_ascii_lowercase()))
            }
            _ => return None,
        };
        Some(Self { from, name, base, instructions: Vec::new() })
    }

    /// The names of the images and stages that the stage uses, its base first.
    fn names(&self) -> Vec<String> {
        let sources = self.instructions.iter().flat_map(Instruction::sources);
        std::iter::once(self.base.clone()).chain(sources).collect()
    }
}

impl Mount {
    /// The id of a required secret. Only BuildKit can resolve an id with a variable.
    fn secret(&self) -> Option<String> {
        let is_needed = self.kind == "secret" && self.required != Some(false);
        let of_target = || self.target.as_ref()?.rsplit('/').next().map(str::to_owned);
        let id = self.id.clone().or_else(of_target).filter(|_| is_needed)?;
        (!id.contains('$')).then_some(id)
    }
}

impl Instruction {
    /// The names of the images and stages in `COPY --from` and `RUN --mount=from`.
    fn sources(&self) -> Vec<String> {
        match self.keyword.as_str() {
            "COPY" | "ADD" => self.flags("from").map(str::to_owned).collect(),
            "RUN" => self.mounts().into_iter().filter_map(|mount| mount.from).collect(),
            _ => Vec::new(),
        }
    }
}
