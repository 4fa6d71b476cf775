//! The workflows of a repository as JSON values: their jobs, the steps of a job, and the words of a line.

use std::path::Path;

use serde_json::Value;

/// The root of this repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The names of the workflow files of this repository.
pub fn names() -> Vec<String> {
    let paths = xtask::outside::files::below(&root().join(".github/workflows")).unwrap();
    paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// A YAML file.
pub fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    yaml_serde::from_str(&text).unwrap_or_else(|error| unreachable!("{}: {error}", path.display()))
}

/// A workflow of the repository at `root`.
pub fn workflow(root: &Path, name: &str) -> Value {
    yaml(&root.join(".github/workflows").join(name))
}

/// The jobs with their ids, each after the jobs that it needs.
pub fn jobs(workflow: &Value) -> Vec<(&str, &Value)> {
    let mut waiting: Vec<(&String, &Value)> =
        workflow["jobs"].as_object().unwrap().iter().collect();
    let mut order: Vec<(&str, &Value)> = Vec::new();
    while !waiting.is_empty() {
        let is_done = |need: &&str| order.iter().any(|(id, _)| id == need);
        let next = waiting.iter().position(|(_, job)| needs(job).iter().all(is_done));
        let (id, job) = waiting.remove(next.unwrap());
        order.push((id, job));
    }
    order
}

/// The ids of the jobs that a job needs: one text, or a list of them.
pub fn needs(job: &Value) -> Vec<&str> {
    match &job["needs"] {
        Value::Array(ids) => ids.iter().map(|id| id.as_str().unwrap()).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

/// The steps of a job, or of the `runs` of a composite action.
pub fn steps(job: &Value) -> impl Iterator<Item = &Value> {
    job["steps"].as_array().into_iter().flatten()
}

/// The names and texts of an `env`, `outputs` or `with`.
pub fn texts(map: &Value) -> impl Iterator<Item = (&String, &str)> {
    map.as_object().into_iter().flatten().map(|(name, text)| (name, text.as_str().unwrap()))
}

/// The words after `cargo xtask`, with the `value` of each variable. An error says why the line is more than
/// one plain command.
pub fn words(line: &str, mut value: impl FnMut(&str) -> String) -> Result<Vec<String>, String> {
    let line = line.trim();
    if line.contains('\n') {
        return Err("it is more than one line".to_owned());
    }
    let command = line.split(" #").next().unwrap_or(line);
    if let Some(sign) = command.chars().find(|sign| "|&;<>()`*?{}~!\\".contains(*sign)) {
        return Err(format!("`{sign}` needs a shell"));
    }
    // The shell splits an unquoted variable at blanks.
    if command.matches('$').count() != command.matches(" \"$").count() {
        return Err("a variable is not of the form `\"$NAME\"`".to_owned());
    }
    let words = shlex::split(command).ok_or("a quote is not closed")?;
    let words: Vec<String> = words
        .iter()
        .map(|word| word.strip_prefix('$').map_or_else(|| word.clone(), &mut value))
        .collect();
    match words.strip_prefix(&["cargo".to_owned(), "xtask".to_owned()]) {
        Some(words) => Ok(words.to_vec()),
        None => Err("it does not begin with `cargo xtask`".to_owned()),
    }
}
