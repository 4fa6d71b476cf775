//! The shape of the sources: the sizes of files and functions, and one meaning for each type name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::layers::{here, sources};

/// The largest number of lines in a file.
const FILE: usize = 350;

/// The largest number of lines in a function.
const FUNCTION: usize = 60;

/// The crates that share one vocabulary. The lab's servers are a separate program.
const CRATES: [&str; 6] =
    ["src", "model/src", "plan/src", "outside/src", "report/src", "lab/tools/src"];

/// Each function of a source file with its number of lines.
fn functions(source: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some((before, rest)) = line.split_once("fn ") else { continue };
        let is_qualifier =
            |word: &str| word.starts_with("pub") || ["const", "async"].contains(&word);
        if !before.split_whitespace().all(is_qualifier) {
            continue;
        }
        let name = rest.split(['(', '<']).next().unwrap_or_default();
        let indent = &line[..line.len() - line.trim_start().len()];
        let (end, declared) = (format!("{indent}}}"), format!("{indent})"));
        let is_end =
            |other: &&str| **other == end || (other.starts_with(&declared) && other.ends_with(';'));
        let is_one_line = line.ends_with(['}', ';']);
        let more = lines[start..].iter().position(is_end).unwrap_or_default();
        found.push((name, if is_one_line { 1 } else { more + 1 }));
    }
    found
}

/// The names of the types that a source file declares for other files.
fn public_types(source: &str) -> Vec<&str> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let identifier = |text: &'_ str| text.find(|c: char| !c.is_alphanumeric() && c != '_');
    let declared = source.lines().filter_map(|line| {
        let (visibility, rest) = line.trim_start().split_once(' ')?;
        let (kind, rest) = rest.split_once(' ')?;
        let is_type = ["struct", "enum", "trait", "type"].contains(&kind);
        (visibility.starts_with("pub") && is_type)
            .then(|| &rest[..identifier(rest).unwrap_or(rest.len())])
    });
    let checked_texts = source.split("checked_text!(\n").skip(1).filter_map(|arguments| {
        let mut lines = arguments.lines().map(str::trim);
        lines.find(|line| !line.starts_with(['/', '#']))?.strip_suffix(',')
    });
    declared.chain(checked_texts).collect()
}

/// A path below this package, in readable form.
fn short(path: &Path) -> String {
    path.strip_prefix(here().parent().unwrap()).unwrap().display().to_string()
}

#[test]
fn files_and_functions_are_short() {
    let services = here().parent().unwrap().join("services");
    let all: Vec<PathBuf> = [here(), services.as_path()].into_iter().flat_map(sources).collect();
    assert!(all.len() > 200, "{} sources", all.len());
    let mut long = Vec::new();
    for path in all.iter().filter(|path| !path.iter().any(|part| part == "target")) {
        let source = fs::read_to_string(path).unwrap();
        let lines = source.lines().count();
        if lines > FILE {
            long.push(format!("{}: {lines} lines", short(path)));
        }
        let functions = functions(&source).into_iter().filter(|(_, lines)| *lines > FUNCTION);
        long.extend(functions.map(|(name, lines)| format!("{}: {name}: {lines}", short(path))));
    }
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn a_type_name_has_one_meaning() {
    let mut declared: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in CRATES.iter().flat_map(|name| sources(&here().join(name))) {
        if path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("tests")) {
            continue;
        }
        for name in public_types(&fs::read_to_string(&path).unwrap()) {
            declared.entry(name.to_owned()).or_default().push(short(&path));
        }
    }
    declared.retain(|_, places| places.len() > 1);
    assert!(declared.is_empty(), "declared more than once: {declared:#?}");
}

#[test]
fn long_functions_and_types_are_found() {
    let source = "pub(super) const fn a() -> u8 {\n    1\n}\n\nimpl T for B {\n    fn b(&self) {}\n}\n\n\
                  trait T {\n    fn c(\n        d: u8,\n    ) -> u8;\n}\n";
    assert_eq!(functions(source), [("a", 3), ("b", 1), ("c", 3)]);
    let source = "pub struct A<T>(T);\npub(crate) enum B {\nstruct C;\ntype D = A;\npub type E = A;\n\
                  checked_text!(\n    /// Text.\n    F,\n    \"text\",\n    check\n);\n";
    assert_eq!(public_types(source), ["A", "B", "E", "F"]);
}
