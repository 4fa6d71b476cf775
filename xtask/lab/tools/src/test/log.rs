//! The output of `cargo test`, shortened to what a person needs when tests fail.

/// The number of lines shown if the log names no failed test.
const TAIL: usize = 60;

/// The block of each failed test, with its panic and output. If no test failed, for example because something
/// does not compile, the end of the log.
pub fn failures(log: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in log.lines() {
        if is_heading(line) {
            inside = true;
        } else if line == "failures:" || line.starts_with("test result:") {
            inside = false;
        }
        if inside {
            text.push_str(line);
            text.push('\n');
        }
    }
    if text.is_empty() {
        let lines: Vec<&str> = log.trim_end().lines().collect();
        return lines.split_at(lines.len().saturating_sub(TAIL)).1.join("\n");
    }
    text.trim_end().to_owned()
}

/// Names of the tests that failed, in the order of the log.
pub fn failed(log: &str) -> Vec<&str> {
    let name = |line| is_heading(line).then(|| line.split(' ').nth(1)).flatten();
    log.lines().filter_map(name).collect()
}

/// The heading that libtest puts above the output of a failed test.
fn is_heading(line: &str) -> bool {
    line.starts_with("---- ") && line.ends_with(" stdout ----")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "running 2 tests\ntest one ... ok\ntest two ... FAILED\n\nfailures:\n\n\
        ---- two stdout ----\nthread panicked at x.rs:1\nleft: 1\n\n\nfailures:\n    two\n\n\
        test result: FAILED. 1 passed; 1 failed\n\nrunning 1 test\n\nfailures:\n\n\
        ---- a::three stdout ----\nboom\n\nfailures:\n    a::three\n\ntest result: FAILED.\n";

    #[test]
    fn only_failed_tests_are_shown() {
        assert_eq!(
            failures(LOG),
            "---- two stdout ----\nthread panicked at x.rs:1\nleft: 1\n\n\n\
             ---- a::three stdout ----\nboom"
        );
        assert_eq!(failed(LOG), ["two", "a::three"]);
    }

    #[test]
    fn a_compile_error_shows_the_end() {
        let log: Vec<String> = (0..100).map(|line| format!("error {line}")).collect();
        let shown = failures(&log.join("\n"));
        assert!(shown.starts_with("error 40\n") && shown.ends_with("error 99"), "{shown}");
        assert!(failed(&shown).is_empty());
    }
}
