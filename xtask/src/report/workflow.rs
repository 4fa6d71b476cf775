//! Workflow commands of GitHub Actions: lines on standard output that the runner reads.
//!
//! Source: "Workflow commands for GitHub Actions", and the escaping of `actions/toolkit`.

/// Begins a group of lines that is shown folded.
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
    fn nothing_in_a_message_can_begin_another_command() {
        assert_eq!(
            error("a,b:c", Some(3), "t", "50 %\n::set-output name=x::y"),
            "::error file=a%2Cb%3Ac,line=3,title=t::50 %25%0A::set-output name=x::y"
        );
    }
}
