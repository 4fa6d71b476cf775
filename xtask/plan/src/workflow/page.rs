//! Pages: every command that one names is one that can be typed.

use super::line::Line;
use super::{CommandLine, File, Judged};

/// The rule of a Markdown page.
pub fn page(file: File<'_>, command_line: &CommandLine<'_>) -> Judged {
    let mut judged = Judged::default();
    for (line, command) in commands(file.text) {
        let tried = Line::parse(&command).and_then(|line| {
            judged.lines += 1;
            (command_line.accepts)(&line.sample())
        });
        if let Err(problem) = tried {
            let detail = format!("`{command}`: {problem}");
            judged.add(file, line, "page-command", detail, "cargo xtask --help");
        }
    }
    judged
}

/// The `cargo xtask` commands of a page with the line of each: in prose between backquotes, in an
/// example a line of its own. What stands for several commands is left out, and so are headings: they name
/// a command without what it needs.
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.starts_with('#') {
            continue;
        }
        let bare = line.strip_prefix("$ ").unwrap_or(line);
        if bare.starts_with("cargo xtask ") {
            // An example may go through a shell; the part before it is ours.
            let command = bare.split(['|', '&', ';', '>']).next().unwrap_or(bare);
            found.push((number, command.trim().to_owned()));
        } else {
            let quoted = line.split('`').skip(1).step_by(2);
            let ours = quoted.filter(|part| part.starts_with("cargo xtask "));
            found.extend(ours.map(|part| (number, part.to_owned())));
        }
    }
    let is_a_pattern =
        |command: &str| ["…", "[", "<", "|"].iter().any(|sign| command.contains(sign));
    found.retain(|(_, command)| !is_a_pattern(command));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_in_prose_and_in_examples() {
        let text = "## `cargo xtask prune explain`\nType `cargo xtask push` or `cargo build`.\n\n```sh\ncargo xtask build --lab   # both\n\
                    $ cargo xtask verify --format json | jq\n```\n`cargo xtask build [SERVICE…]`\n";
        let found = commands(text);
        let found: Vec<_> = found.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(
            found,
            [
                (2, "cargo xtask push"),
                (5, "cargo xtask build --lab   # both"),
                (6, "cargo xtask verify --format json")
            ]
        );
    }
}
