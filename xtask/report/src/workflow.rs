//! Workflow commands of GitHub Actions: lines on stdout that the runner reads.
//!
//! Source: "Workflow commands for GitHub Actions", and the escaping of `actions/toolkit`.

/// Starts a group of lines that is shown folded.
pub fn group(title: &str) -> String {
    format!("::group::{}", data(title))
}

/// Ends the group.
pub const END_GROUP: &str = "::endgroup::";

/// An error at a line of a file, shown beside it in a pull request.
pub fn error(file: &str, line: Option<usize>, title: &str, message: &str) -> String {
    annotation("error", file, line, title, message)
}

/// A warning at a line of a file.
pub fn warning(file: &str, line: Option<usize>, title: &str, message: &str) -> String {
    annotation("warning", file, line, title, message)
}

/// `line` without anything that the runner reads as a command, because a build must not run commands through
/// the log. The runner looks for `::` at the start of a line and for `##[` anywhere.
pub fn disarmed(line: &str) -> String {
    let line = line.replace("##[", "## [");
    let text = line.trim_start();
    match text.strip_prefix("::") {
        Some(rest) => format!("{}: :{rest}", line.strip_suffix(text).unwrap_or_default()),
        None => line,
    }
}

fn annotation(kind: &str, file: &str, line: Option<usize>, title: &str, message: &str) -> String {
    let line = line.map_or(String::new(), |line| format!("line={line},"));
    format!("::{kind} file={},{line}title={}::{}", property(file), property(title), data(message))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_cannot_run_workflow_commands() {
        assert_eq!(disarmed("  ::set-env name=x::y"), "  : :set-env name=x::y");
        assert_eq!(disarmed("a ##[error]b"), "a ## [error]b");
        assert_eq!(disarmed("std::fmt"), "std::fmt");
    }

    #[test]
    fn a_message_cannot_start_a_second_command() {
        assert_eq!(
            error("a,b:c", Some(3), "t", "50 %\n::set-output name=x::y"),
            "::error file=a%2Cb%3Ac,line=3,title=t::50 %25%0A::set-output name=x::y"
        );
    }
}
