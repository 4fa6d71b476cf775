//! What a `.dockerignore` keeps out of the build context, by docker's rules: the last pattern that
//! matches a path or a folder above it decides, `!` lets in again, `**` is any number of folders.
//!
//! Source: moby/patternmatcher and moby/buildkit `frontend/dockerfile/dockerignore`.

/// What is known of a build context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildContext {
    /// The text of `Dockerfile.dockerignore`, else of `.dockerignore`.
    pub ignore_file: Option<String>,
    /// Paths that are there, relative, with `/` between their parts.
    pub paths: Vec<String>,
}

/// The patterns of an ignore file, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreFile {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    lets_in: bool,
    text: Vec<char>,
}

impl IgnoreFile {
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self { patterns: lines.filter_map(Pattern::parse).collect() }
    }

    /// Whether `path` is kept out.
    pub fn keeps_out(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let paths: Vec<Vec<char>> =
            ends.filter_map(|end| path.get(..end)).map(|part| part.chars().collect()).collect();
        self.patterns.iter().fold(false, |out, pattern| {
            // A pattern that would change nothing is not asked.
            let matches = || paths.iter().any(|path| matches(&pattern.text, path));
            if pattern.lets_in == out && matches() { !out } else { out }
        })
    }
}

impl Pattern {
    fn parse(line: &str) -> Option<Self> {
        let line = line.trim();
        let (lets_in, text) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/').filter(|part| !matches!(*part, "" | ".")) {
            if part == ".." {
                parts.pop();
            } else {
                parts.push(part);
            }
        }
        let text: Vec<char> = parts.join("/").chars().collect();
        (!text.is_empty()).then_some(Self { lets_in, text })
    }
}

/// Whether a pattern matches the whole of a path.
fn matches(pattern: &[char], path: &[char]) -> bool {
    match pattern {
        [] => path.is_empty(),
        // At the end of a pattern it is everything; elsewhere any number of whole folders.
        ['*', '*', rest @ ..] => {
            let rest = rest.strip_prefix(&['/']).unwrap_or(rest);
            let folder_ends = |at: &usize| *at == 0 || path.get(at - 1) == Some(&'/');
            let mut tails = (0..=path.len()).filter(folder_ends).filter_map(|at| path.get(at..));
            rest.is_empty() || tails.any(|tail| matches(rest, tail))
        }
        ['*', rest @ ..] => {
            let length = path.iter().position(|c| *c == '/').unwrap_or(path.len());
            (0..=length).filter_map(|at| path.get(at..)).any(|tail| matches(rest, tail))
        }
        ['[', ..] => matches_class(pattern, path),
        ['?', rest @ ..] => {
            path.split_first().is_some_and(|(first, tail)| *first != '/' && matches(rest, tail))
        }
        ['\\', literal, rest @ ..] | [literal, rest @ ..] => {
            path.split_first().is_some_and(|(first, tail)| first == literal && matches(rest, tail))
        }
    }
}

/// `[a-z]`, `[^a-z]` at the start of a pattern; one that does not end matches nothing.
fn matches_class(pattern: &[char], path: &[char]) -> bool {
    let Some(end) = pattern.iter().skip(2).position(|c| *c == ']').map(|at| at + 2) else {
        return false;
    };
    let (Some(class), Some(rest), Some((first, tail))) =
        (pattern.get(1..end), pattern.get(end + 1..), path.split_first())
    else {
        return false;
    };
    let (without, mut class) = match class {
        ['^', class @ ..] => (true, class),
        class => (false, class),
    };
    let mut within = false;
    while let Some((from, after)) = class.split_first() {
        let (to, after) = match after {
            ['-', to, after @ ..] => (to, after),
            _ => (from, after),
        };
        within |= (from..=to).contains(&first);
        class = after;
    }
    within != without && *first != '/' && matches(rest, tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, out: &[&str], into: &[&str]) {
        let file = IgnoreFile::parse(text);
        for (paths, expected) in [(out, true), (into, false)] {
            for path in paths {
                assert_eq!(file.keeps_out(path), expected, "{path} with {text:?}");
            }
        }
    }

    #[test]
    fn a_pattern_stands_at_the_root_and_takes_all_below_it() {
        check(".git\n/target/\n", &[".git", ".git/HEAD", "target/x/y"], &["a/.git", ".github"]);
        check("a/../b\n./c\n", &["b", "c"], &["a", "a/b"]);
        check("\n# .git\n#\n", &[], &[".git", "#"]);
    }

    #[test]
    fn stars_stay_in_their_folder_and_two_cross_folders() {
        check("*.log\n", &["a.log", ".log"], &["b/a.log", "a.logs"]);
        check("*/*.log\n", &["b/a.log"], &["a.log", "c/b/a.log"]);
        check(
            "**/node_modules\n",
            &["node_modules", "a/node_modules", "a/b/node_modules/c"],
            &["node_modules2", "a/my_node_modules"],
        );
        check("a/**\n", &["a/b", "a/b/c"], &["a", "b"]);
        check("a/**/z\n", &["a/z", "a/b/c/z"], &["z", "a/b"]);
        check("**\n", &["a", "a/b", ".env"], &[]);
        check("file?.[a-c]\n", &["file1.a", "file2.c"], &["file.a", "file12.a", "file1.d"]);
        check("[^a]b\n[\n", &["cb"], &["ab", "/b", "["]);
        check("\\*\n", &["*"], &["a"]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        check("*\n!src\n!Cargo.toml\n", &["target", ".env", "a/src"], &["src/a", "Cargo.toml"]);
        check("*\n!src\nsrc/target\n", &["src/target/x"], &["src/a"]);
        check("!.env\n.env*\n! .env.example \n", &[".env", ".env.local"], &[".env.example"]);
    }
}
