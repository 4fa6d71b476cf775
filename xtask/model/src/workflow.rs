//! A GitHub Actions workflow as values: what starts it, its jobs and their steps, each with its line. It
//! reads and judges nothing: the rules are in `plan::workflow`, and `plan::ci` plays it.
//!
//! Source: "Workflow syntax for GitHub Actions", "Metadata syntax for GitHub Actions".

use std::collections::BTreeMap;

use super::yaml::{Entry, Node, Placed, Value, YamlError};

/// Texts by name, each with its line.
pub type Texts = BTreeMap<String, Placed>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    pub name: Option<String>,
    pub triggers: Vec<Trigger>,
    pub permissions: Option<Permissions>,
    pub concurrency: Option<Concurrency>,
    pub env: Texts,
    /// In the order of the file.
    pub jobs: Vec<Job>,
    /// The keys that change how a line runs and that nothing here reads: GitHub alone honours them.
    pub unread: Vec<Placed>,
}

/// One event of `on:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    pub event: String,
    pub line: usize,
    /// Patterns; every branch when there is none.
    pub branches: Vec<String>,
    pub tags: Vec<String>,
    /// The default of each input of `workflow_dispatch`.
    pub inputs: Texts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    pub line: usize,
    /// `read-all` or `write-all`, in place of a list.
    pub all: Option<String>,
    pub scopes: Texts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    pub line: usize,
    /// The name of the line in which runs wait; each is as it is written.
    pub group: String,
    /// `cancel-in-progress`
    pub cancel: Option<String>,
    /// `single`, where a new run that waits replaces the one before, or `max`.
    pub queue: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub id: String,
    pub line: usize,
    pub name: Option<String>,
    pub needs: Vec<Placed>,
    pub condition: Option<Placed>,
    pub permissions: Option<Permissions>,
    pub concurrency: Option<Concurrency>,
    pub timeout: Option<Placed>,
    pub outputs: Texts,
    pub matrix: Option<Matrix>,
    pub env: Texts,
    pub steps: Vec<Step>,
    /// A workflow that is called in place of steps.
    pub uses: Option<Placed>,
    /// Every text of the job that holds an expression, `if` and others alike.
    pub expressions: Vec<Placed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matrix {
    /// An expression that yields the whole matrix.
    Whole(Placed),
    /// The values of each dimension, or an expression that yields them.
    Dimensions(BTreeMap<String, Vec<Placed>>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub line: usize,
    pub id: Option<String>,
    pub condition: Option<Placed>,
    pub uses: Option<Placed>,
    pub with: Texts,
    pub env: Texts,
    pub run: Option<Placed>,
}

impl Step {
    /// Whether it is the action of this name: one of the repository itself, or with the `@` of another's.
    pub fn is_of(&self, action: &str) -> bool {
        let Some(uses) = self.uses.as_ref().map(|uses| uses.text.as_str()) else { return false };
        match own_folder(uses) {
            Some(own) => own == action,
            None => action.ends_with('@') && uses.starts_with(action),
        }
    }
}

/// The folder of an action of the repository itself, from the root.
pub fn own_folder(uses: &str) -> Option<&str> {
    uses.strip_prefix("./").or_else(|| uses.strip_prefix("$/"))
}

const OF_WORKFLOW: &[&str] =
    &["name", "run-name", "on", "permissions", "env", "defaults", "concurrency", "jobs"];
const OF_JOB: &[&str] = &[
    "name",
    "permissions",
    "needs",
    "if",
    "runs-on",
    "environment",
    "concurrency",
    "outputs",
    "env",
    "defaults",
    "steps",
    "timeout-minutes",
    "strategy",
    "continue-on-error",
    "container",
    "services",
    "uses",
    "with",
    "secrets",
];
const OF_STEP: &[&str] = &[
    "id",
    "if",
    "name",
    "uses",
    "run",
    "working-directory",
    "shell",
    "with",
    "env",
    "continue-on-error",
    "timeout-minutes",
];

impl Workflow {
    pub fn parse(text: &str) -> Result<Self, YamlError> {
        let root = Node::parse(text)?;
        known(&root, OF_WORKFLOW)?;
        let jobs = root.get("jobs").ok_or_else(|| YamlError::new(1, "it has no `jobs`"))?;
        let on = root.get("on").ok_or_else(|| YamlError::new(1, "it has no `on`"))?;
        Ok(Self {
            name: root.get("name").and_then(Node::text).map(str::to_owned),
            triggers: triggers(on)?,
            permissions: root.get("permissions").map(permissions).transpose()?,
            concurrency: root.get("concurrency").map(concurrency),
            env: texts(root.get("env"), "env")?,
            jobs: jobs.entries().iter().map(job).collect::<Result<_, _>>()?,
            unread: unread(&root, jobs),
        })
    }

    pub fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }

    pub fn trigger(&self, event: &str) -> Option<&Trigger> {
        self.triggers.iter().find(|trigger| trigger.event == event)
    }
}

/// The script of a JavaScript action of the repository itself; `None` of any other kind.
pub fn action_script(text: &str) -> Result<Option<String>, YamlError> {
    let root = Node::parse(text)?;
    let runs = |key: &str| root.get("runs").and_then(|runs| runs.get(key)).and_then(Node::text);
    let is_script = runs("using").is_some_and(|using| using.starts_with("node"));
    Ok(runs("main").filter(|_| is_script).map(str::to_owned))
}

/// The steps of an action of the repository itself; none of one that is not made of steps.
pub fn action_steps(text: &str) -> Result<Vec<Step>, YamlError> {
    let root = Node::parse(text)?;
    steps(root.get("runs").and_then(|runs| runs.get("steps")))
}

/// Refuses a key that GitHub does not know, which it would refuse too, but later.
fn known(node: &Node, keys: &[&str]) -> Result<(), YamlError> {
    match node.entries().iter().find(|entry| !keys.contains(&entry.key.as_str())) {
        None => Ok(()),
        Some(Entry { key, line, .. }) => {
            let nearest = keys.iter().min_by_key(|known| strsim::levenshtein(known, key));
            let nearest = nearest.copied().unwrap_or_default();
            Err(YamlError::new(
                *line,
                format!("there is no key `{key}`; did you mean `{nearest}`?"),
            ))
        }
    }
}

fn unread(root: &Node, jobs: &Node) -> Vec<Placed> {
    let among = |node: &Node, keys: &[&str]| {
        let entries = node.entries().iter().filter(|entry| keys.contains(&entry.key.as_str()));
        entries
            .map(|entry| Placed { line: entry.line, text: entry.key.clone() })
            .collect::<Vec<_>>()
    };
    let mut found = among(root, &["defaults"]);
    for job in jobs.entries() {
        let keys = ["defaults", "container", "services", "continue-on-error", "uses"];
        found.extend(among(&job.value, &keys));
        if let Some(Node { value: Value::List(steps), .. }) = job.value.get("steps") {
            let keys = ["working-directory", "shell", "continue-on-error"];
            found.extend(steps.iter().flat_map(|step| among(step, &keys)));
        }
    }
    found
}

fn texts(node: Option<&Node>, what: &str) -> Result<Texts, YamlError> {
    let entries = node.map_or(&[][..], Node::entries);
    let entry = |entry: &Entry| {
        let name = format!("{what}.{}", entry.key);
        Ok((entry.key.clone(), Placed { line: entry.line, ..entry.value.placed(&name)? }))
    };
    entries.iter().map(entry).collect()
}

/// `on: push`, `on: [push, pull_request]` or `on:` with a map.
fn triggers(on: &Node) -> Result<Vec<Trigger>, YamlError> {
    let bare = |placed: Placed| Trigger {
        event: placed.text,
        line: placed.line,
        branches: Vec::new(),
        tags: Vec::new(),
        inputs: Texts::new(),
    };
    let Value::Map(entries) = &on.value else {
        return Ok(on.texts().into_iter().map(bare).collect());
    };
    let trigger = |Entry { key, line, value }: &Entry| {
        let patterns = |key: &str| {
            let listed = value.get(key).map(Node::texts).unwrap_or_default();
            listed.into_iter().map(|placed| placed.text).collect()
        };
        let inputs = value.get("inputs").map_or(&[][..], Node::entries).iter().map(|input| {
            let default = input.value.get("default").and_then(Node::text).unwrap_or_default();
            (input.key.clone(), Placed { line: input.line, text: default.to_owned() })
        });
        Ok(Trigger {
            event: key.clone(),
            line: *line,
            branches: patterns("branches"),
            tags: patterns("tags"),
            inputs: inputs.collect(),
        })
    };
    entries.iter().map(trigger).collect()
}

fn permissions(node: &Node) -> Result<Permissions, YamlError> {
    Ok(Permissions {
        line: node.line,
        all: node.text().map(str::to_owned),
        scopes: texts(Some(node), "permissions")?,
    })
}

/// `concurrency: GROUP`, or a map.
fn concurrency(node: &Node) -> Concurrency {
    let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let group = node.text().map(str::to_owned).or_else(|| text("group"));
    Concurrency {
        line: node.line,
        group: group.unwrap_or_default(),
        cancel: text("cancel-in-progress"),
        queue: text("queue"),
    }
}

fn job(Entry { key, line, value }: &Entry) -> Result<Job, YamlError> {
    known(value, OF_JOB)?;
    let placed = |name: &str| value.get(name).map(|node| node.placed(name)).transpose();
    let condition = placed("if")?;
    let steps = steps(value.get("steps"))?;
    let conditions = steps.iter().filter_map(|step| step.condition.clone());
    let mut expressions: Vec<Placed> = value
        .all_texts()
        .into_iter()
        .filter(|placed| placed.text.contains("${{"))
        .chain(conditions.chain(condition.clone()).filter(|placed| !placed.text.contains("${{")))
        .collect();
    expressions.sort_by_key(|placed| placed.line);
    Ok(Job {
        id: key.clone(),
        line: *line,
        name: placed("name")?.map(|name| name.text),
        needs: value.get("needs").map(Node::texts).unwrap_or_default(),
        condition,
        permissions: value.get("permissions").map(permissions).transpose()?,
        concurrency: value.get("concurrency").map(concurrency),
        timeout: placed("timeout-minutes")?,
        outputs: texts(value.get("outputs"), "outputs")?,
        matrix: value.get("strategy").and_then(|strategy| strategy.get("matrix")).map(matrix),
        env: texts(value.get("env"), "env")?,
        steps,
        uses: placed("uses")?,
        expressions,
    })
}

fn matrix(node: &Node) -> Matrix {
    match &node.value {
        Value::Map(entries) => Matrix::Dimensions(
            entries.iter().map(|entry| (entry.key.clone(), entry.value.texts())).collect(),
        ),
        _ => Matrix::Whole(Placed {
            line: node.line,
            text: node.text().unwrap_or_default().to_owned(),
        }),
    }
}

fn steps(node: Option<&Node>) -> Result<Vec<Step>, YamlError> {
    let Some(Node { value: Value::List(items), .. }) = node else { return Ok(Vec::new()) };
    items.iter().map(step).collect()
}

fn step(node: &Node) -> Result<Step, YamlError> {
    known(node, OF_STEP)?;
    let placed = |name: &str| {
        // The line of the key: the text of `run: |` begins one line below it.
        let entry = node.entries().iter().find(|entry| entry.key == name);
        let text = |entry: &Entry| Ok(Placed { line: entry.line, ..entry.value.placed(name)? });
        entry.map(text).transpose()
    };
    Ok(Step {
        line: node.line,
        id: placed("id")?.map(|id| id.text),
        condition: placed("if")?,
        uses: placed("uses")?,
        with: texts(node.get("with"), "with")?,
        env: texts(node.get("env"), "env")?,
        run: placed("run")?,
    })
}

#[cfg(test)]
#[path = "workflow_tests.rs"]
mod tests;
