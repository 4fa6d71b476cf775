//! The commands of a `RUN`, as far as rules ask: which program, which words, what it writes to. It is
//! no shell: what a variable or a substitution becomes is not known here.

/// One simple command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// `NAME=value` before the program.
    pub assignments: Vec<String>,
    /// The program and its arguments, without quotes.
    pub words: Vec<String>,
    /// What `>` and `>>` write to.
    pub outputs: Vec<String>,
}

impl Command {
    /// The name of the program, without its folder.
    pub fn program(&self) -> &str {
        self.words.first().map_or("", |word| word.rsplit('/').next().unwrap_or_default())
    }

    /// The words after the program.
    pub fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The arguments that are no option.
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

    /// Takes off what stands before the program: keywords, `sudo`, assignments.
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
            let first = self.words.remove(0);
            if assigns {
                self.assignments.push(first);
            }
        }
        self
    }
}

const KEYWORDS: [&str; 12] =
    ["if", "then", "else", "elif", "fi", "while", "until", "do", "done", "!", "{", "}"];
const PREFIXES: [&str; 5] = ["sudo", "env", "exec", "command", "time"];

/// The commands of a script, in the order in which they stand.
pub fn commands(script: &str) -> Vec<Command> {
    let mut reader = Reader::default();
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
                    // `2>&1` names no file.
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
pub fn of_words(words: Vec<String>) -> Vec<Command> {
    let command = Command { words, ..Command::default() }.trimmed();
    let inner = command.script().map(commands).unwrap_or_default();
    if inner.is_empty() { vec![command] } else { inner }
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// What has been read of a script.
#[derive(Default)]
struct Reader {
    commands: Vec<Command>,
    command: Command,
    word: Option<String>,
    /// `>` or `<` when the next word is a file, `&` when it is a descriptor.
    redirection: Option<char>,
}

impl Reader {
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

    /// `$(…)`, as it stands, up to the parenthesis that closes it.
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
        // The number of `2>` is no word.
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
        if command == Command::default() {
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

    /// Each command's words, `>` before what it writes to, `NAME=value` in front.
    fn check(script: &str, expected: &[&str]) {
        let shown = |command: Command| {
            let outputs = command.outputs.iter().map(|output| format!(">{output}"));
            let words = command.assignments.into_iter().chain(command.words);
            words.chain(outputs).collect::<Vec<_>>().join("·")
        };
        let found: Vec<String> = commands(script).into_iter().map(shown).collect();
        assert_eq!(found, expected, "{script}");
    }

    #[test]
    fn a_script_is_split_where_the_shell_splits_it() {
        check("a b && c || d; e | f & g\nh", &["a·b", "c", "d", "e", "f", "g", "h"]);
        check("set -eux; if [ -f x ]; then rm x; fi", &["set·-eux", "[·-f·x·]", "rm·x"]);
        check("(cd /x && make) # all && of it\nend", &["cd·/x", "make", "end"]);
        check(
            "A=1 B='2 3' sudo -E /usr/bin/apt-get install x",
            &["A=1·B=2 3·/usr/bin/apt-get·install·x"],
        );
        check("", &[]);
    }

    #[test]
    fn quotes_substitutions_and_redirections_stay_in_their_command() {
        check("echo 'a && b' \"c; $(d \"e\" | f)\" g\\ h", &["echo·a && b·c; $(d \"e\" | f)·g h"]);
        check("a $(b && c) > /x 2>&1 2>/dev/null < in; d", &["a·$(b && c)·>/x·>/dev/null", "d"]);
        check("cat <<-EOF >> /etc/x", &["cat·>/etc/x"]);
        check("a \\\n  b", &["a·b"]);
    }

    #[test]
    fn a_shell_in_a_shell_is_read_too() {
        check("bash -euc 'npm ci && x'", &["bash·-euc·npm ci && x", "npm·ci", "x"]);
        let words = ["/bin/sh", "-c", "apk add x"].map(str::to_owned).to_vec();
        assert_eq!(of_words(words).first().map(Command::program), Some("apk"));
    }
}
