//! A file of a crate may not import a file that imports it back, directly or through others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each crate of the workspace with the folder of its sources.
const CRATES: [&str; 7] =
    ["src", "model/src", "plan/src", "outside/src", "report/src", "lab/src", "lab/tools/src"];

type Graph = BTreeMap<String, BTreeSet<String>>;

/// The files of a crate by their module paths: `""` is the crate's root, `a::b` is `a/b.rs`.
fn modules(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder_) = open.pop() {
        for entry in std::fs::read_dir(&folder_).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.file_stem().unwrap().to_str().unwrap();
            let is_test =
                name.ends_with("tests") || path.components().any(|c| c.as_os_str() == "tests");
            if path.extension().is_none_or(|extension| extension != "rs") || is_test {
                continue;
            }
            let inside = path.strip_prefix(folder).unwrap().with_extension("");
            let mut parts: Vec<&str> = inside.iter().map(|part| part.to_str().unwrap()).collect();
            if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
                parts.pop();
            }
            // A binary's root uses the library like any other crate.
            if name != "main" || !folder.join("lib.rs").exists() {
                found.insert(parts.join("::"), path);
            }
        }
    }
    found
}

/// The paths that a file names, each as a list of segments.
fn paths(source: &str) -> Vec<Vec<String>> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: Vec<&str> =
        source.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let children = code.lines().filter_map(|line| {
        let (_, name) = line.trim_end().strip_suffix(';')?.rsplit_once("mod ")?;
        Some(format!("{name}::"))
    });
    let starts = ["use ", "crate::", "super::", "self::"].map(str::to_owned);
    let mut found = Vec::new();
    for start in starts.into_iter().chain(children) {
        for (position, _) in code.match_indices(start.as_str()) {
            let before = code[..position].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = code[position..].trim_start_matches("use ");
            tree(rest, &[], &mut found);
        }
    }
    found
}

/// Reads one use tree, such as `a::{b, c::d}`, and returns how much of the text it takes.
fn tree(text: &str, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if text[at..].starts_with('{') {
            at += 1;
            while !text[at..].trim_start().starts_with('}') && at < text.len() {
                at += tree(&text[at..], &path, found);
                at += text[at..].len() - text[at..].trim_start_matches([',', ' ', '\n']).len();
            }
            return at + text[at..].find('}').map_or(0, |end| end + 1);
        }
        let end = text[at..].find(|c: char| !c.is_alphanumeric() && c != '_');
        let segment = &text[at..at + end.unwrap_or(text[at..].len())];
        if !segment.is_empty() {
            path.push(segment.to_owned());
        }
        at += segment.len();
        if !text[at..].starts_with("::") {
            // `as name` and `*` end a path; what follows belongs to the caller.
            at += text[at..].find([',', '}', ';', '(', '\n']).unwrap_or(0);
            found.push(path);
            return at;
        }
        at += 2;
    }
}

/// The module that a path names, seen from the module `here`.
fn resolved(path: &[String], here: &str, modules: &BTreeMap<String, PathBuf>) -> Option<String> {
    let mut base: Vec<&str> = if here.is_empty() { Vec::new() } else { here.split("::").collect() };
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            while rest.first().is_some_and(|segment| segment == "super") {
                base.pop();
                rest = &rest[1..];
            }
            base.extend(rest.iter().map(String::as_str));
            return longest(&base, modules);
        }
        // A path that begins with a child module.
        first if modules.contains_key(&joined(here, first)) => {
            base.extend(path.iter().map(String::as_str));
            return longest(&base, modules);
        }
        _ => return None,
    }
    base.extend(path[1..].iter().map(String::as_str));
    longest(&base, modules)
}

fn joined(here: &str, name: &str) -> String {
    if here.is_empty() { name.to_owned() } else { format!("{here}::{name}") }
}

fn longest(path: &[&str], modules: &BTreeMap<String, PathBuf>) -> Option<String> {
    (0..=path.len()).rev().map(|end| path[..end].join("::")).find(|name| modules.contains_key(name))
}

fn graph(folder: &Path) -> Graph {
    let modules = modules(folder);
    let imports = |(name, path): (&String, &PathBuf)| {
        let source = std::fs::read_to_string(path).unwrap();
        let found = paths(&source);
        let others = found.iter().filter_map(|path| resolved(path, name, &modules));
        (name.clone(), others.filter(|other| other != name).collect())
    };
    modules.iter().map(imports).collect()
}

/// The modules that `from` reaches through imports.
fn reached<'g>(graph: &'g Graph, from: &str) -> BTreeSet<&'g str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = graph.get(from).into_iter().flatten().map(String::as_str).collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(graph.get(next).into_iter().flatten().map(String::as_str));
        }
    }
    reached
}

/// The circles of a crate: each set of modules that reach each other.
fn circles(graph: &Graph) -> BTreeSet<Vec<&str>> {
    let all: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|name| (name.as_str(), reached(graph, name))).collect();
    let circle = |name: &&str| {
        let others = all[name].iter().filter(|other| all[**other].contains(*name));
        others.copied().collect::<Vec<_>>()
    };
    all.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

#[test]
fn no_file_imports_itself_through_others() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for name in CRATES {
        let graph = graph(&root.join(name));
        found.extend(circles(&graph).iter().map(|circle| format!("{name}: {}", circle.join(" "))));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_circle_of_imports_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;\n");
    write("a.rs", "use super::{\n    b::{B, C},\n};\n");
    write("b.rs", "fn f() { crate::c::g() }\n");
    write("c.rs", "// use super::a::A;\n");
    assert_eq!(circles(&graph(folder.path())), BTreeSet::new());
    write("c.rs", "use crate::{\n    a::A as Other,\n};\n");
    assert_eq!(circles(&graph(folder.path())), [vec!["a", "b", "c"]].into());
    write("c.rs", "use super::A;\n");
    assert_eq!(circles(&graph(folder.path())), [vec!["", "a", "b", "c"]].into());
}
