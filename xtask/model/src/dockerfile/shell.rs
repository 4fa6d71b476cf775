//! The commands of a `RUN` as far as the rules need them: the program, its words and the files it
//! writes to. Variables and substitutions are not evaluated.

/// One simple command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShellCommand {
    /// The program and its arguments, without quotes.
    pub words: Vec<String>,
    /// The files behind `>` and `>>`.
    pub outputs: Vec<String>,
}

impl ShellCommand {
    /// The name of the program, without its folder.
    pub fn program(&self) -> &str {
        self.words.first().map_or("", |word| word.rsplit('/').next().unwrap_or_default())
    }

    /// The words after the program.
    fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The arguments without the options.
    pub fn operands(&self) -> impl Iterator<Item = &str> {
        self.arguments().iter().map(String::as_str).filter(|word| !word.starts_with('-'))
    }

    /// Whether an argument is one of `options`, alone or before a `=`.
    pub fn has(&self, options: &[&str]) -> bool {
        let name = |word: &'_ String| word.split('=').next().unwrap_or_default().to_owned();
        self.arguments().iter().any(|word| options.contains(&name(word).as_str()))
    }

    pub fn is_shell(&self) -> bool {
        matches!(self.program(), "sh" | "bash" | "ash" | "dash")
    }

    /// The script of `sh -c SCRIPT`.
    fn script(&self) -> Option<&str> {
        let runs = |word: &&String| word.starts_with('-') && word.ends_with('c');
        let at = self.arguments().iter().position(|word| runs(&word))?;
        self.arguments().get(at + 1).filter(|_| self.is_shell()).map(String::as_str)
    }

    /// Without what precedes the program: keywords, `sudo`, assignments.
    fn trimmed(mut self) -> Self {
        let mut after_prefix = false;
        while let Some(first) = self.words.first() {
            let name_ends = first.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let assigns = name_ends.is_some_and(|at| at > 0 && first.get(at..=at) == Some("="));
            let keyword = KEYWORDS.contains(&first.as_str());
            let prefix = PREFIXES.contains(&first.as_str());
            if !(keyword || prefix || assigns || (after_prefix && first.starts_with('-'))) {
                break;
            }
            after_prefix |= prefix;
            self.words.remove(0);
        }
        self
    }
}

const KEYWORDS: [&str; 12] =
    ["if", "then", "else", "elif", "fi", "while", "until", "do", "done", "!", "{", "}"];
const PREFIXES: [&str; 5] = ["sudo", "env", "exec", "command", "time"];

/// The commands of a script, in order.
pub fn commands(script: &str) -> Vec<ShellCommand> {
    let mut reader = ScriptReader::default();
    let mut characters = script.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('\n') | None => {}
                Some(escaped) => reader.push(escaped),
            },
            '\'' => {
                reader.begin();
                reader.extend(characters.by_ref().take_while(|c| *c != '\''));
            }
            '"' => reader.double_quoted(&mut characters),
            '$' if characters.peek() == Some(&'(') => reader.substitution(&mut characters),
            '#' if reader.word.is_none() => {
                let _ = characters.by_ref().find(|c| *c == '\n');
                reader.end_command();
            }
            '>' | '<' => {
                reader.begin_redirection(character);
                while characters.next_if(|c| matches!(c, '>' | '<' | '|' | '-')).is_some() {}
                if characters.next_if_eq(&'&').is_some() {
                    // `2>&1` is no file.
                    reader.redirection = Some('&');
                }
            }
            ';' | '&' | '|' | '\n' | '(' | ')' => reader.end_command(),
            _ if character.is_whitespace() => reader.end_word(),
            _ => reader.push(character),
        }
    }
    reader.end_command();
    reader.commands
}

/// The commands of an exec form.
pub fn of_words(words: Vec<String>) -> Vec<ShellCommand> {
    let command = ShellCommand { words, ..ShellCommand::default() }.trimmed();
    let inner = command.script().map(commands).unwrap_or_default();
    if inner.is_empty() { vec![command] } else { inner }
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// The state while reading a script.
#[derive(Default)]
struct ScriptReader {
    commands: Vec<ShellCommand>,
    command: ShellCommand,
    word: Option<String>,
    /// `>` or `<` if the next word is a file, `&` if it is a descriptor.
    redirection: Option<char>,
}

impl ScriptReader {
    fn begin(&mut self) {
        self.word.get_or_insert_default();
    }

    fn push(&mut self, character: char) {
        self.word.get_or_insert_default().push(character);
    }

    fn extend(&mut self, characters: impl Iterator<Item = char>) {
        self.word.get_or_insert_default().extend(characters);
    }

    fn double_quoted(&mut self, characters: &mut Characters<'_>) {
        self.begin();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => match characters.next() {
                    Some('\n') | None => {}
                    Some(escaped @ ('"' | '\\' | '$' | '`')) => self.push(escaped),
                    Some(other) => self.extend(['\\', other].into_iter()),
                },
                '$' if characters.peek() == Some(&'(') => self.substitution(characters),
                _ => self.push(character),
            }
        }
    }

    /// `$(…)` unchanged, up to the closing parenthesis.
    fn substitution(&mut self, characters: &mut Characters<'_>) {
        self.push('$');
        let mut depth = 0_usize;
        for character in characters.by_ref() {
            self.push(character);
            match character {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }

    fn begin_redirection(&mut self, sign: char) {
        // The `2` of `2>` is not a word.
        if self.word.as_ref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        self.redirection = Some(sign);
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match self.redirection.take() {
            None => self.command.words.push(word),
            Some('>') => self.command.outputs.push(word),
            Some(_) => {}
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        self.redirection = None;
        let command = std::mem::take(&mut self.command).trimmed();
        if command == ShellCommand::default() {
            return;
        }
        let inner = command.script().map(commands).unwrap_or_default();
        self.commands.push(command);
        self.commands.extend(inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of each command, and its outputs with `>`.
    fn check(script: &str, expected: &[&str]) {
        let shown = |command: ShellCommand| {
            let outputs = command.outputs.iter().map(|output| format!(">{output}"));
            command.words.into_iter().chain(outputs).collect::<Vec<_>>().join("·")
        };
        let found: Vec<String> = commands(script).into_iter().map(shown).collect();
        assert_eq!(found, expected, "{script}");
    }

    #[test]
    fn a_script_splits_where_a_shell_splits_it() {
        check("a b && c || d; e | f & g\nh", &["a·b", "c", "d", "e", "f", "g", "h"]);
        check("set -eux; if [ -f x ]; then rm x; fi", &["set·-eux", "[·-f·x·]", "rm·x"]);
        check("(cd /x && make) # all && of it\nend", &["cd·/x", "make", "end"]);
        check("A=1 B='2 3' sudo -E /usr/bin/apt-get install x", &["/usr/bin/apt-get·install·x"]);
        check("", &[]);
    }

    #[test]
    fn quotes_and_redirections_stay_in_their_command() {
        check("echo 'a && b' \"c; $(d \"e\" | f)\" g\\ h", &["echo·a && b·c; $(d \"e\" | f)·g h"]);
        check("a $(b && c) > /x 2>&1 2>/dev/null < in; d", &["a·$(b && c)·>/x·>/dev/null", "d"]);
        check("cat <<-EOF >> /etc/x", &["cat·>/etc/x"]);
        check("a \\\n  b", &["a·b"]);
    }

    #[test]
    fn a_nested_shell_script_is_read() {
        check("bash -euc 'npm ci && x'", &["bash·-euc·npm ci && x", "npm·ci", "x"]);
        let words = ["/bin/sh", "-c", "apk add x"].map(str::to_owned).to_vec();
        assert_eq!(of_words(words).first().map(ShellCommand::program), Some("apk"));
    }
}
