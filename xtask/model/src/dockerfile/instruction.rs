//! Splits a Dockerfile into instructions as BuildKit does: directives, comments, continued lines, flags,
//! here-documents and the JSON form.

use super::shell::{self, ShellCommand};

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The first line, counted from 1.
    pub line: usize,
    /// Upper case.
    pub keyword: String,
    /// The leading `--name=value` flags; names without dashes, values without quotes.
    flags: Vec<(String, String)>,
    /// The text behind the flags, with continued lines joined.
    pub arguments: String,
    /// The texts of the here-documents, in order.
    pub documents: Vec<String>,
    /// The comments above and inside the instruction.
    pub comments: Comments,
    escape: char,
}

/// A `RUN --mount=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The `type`, by default `bind`.
    pub kind: String,
    pub target: Option<String>,
    pub source: Option<String>,
    /// An image or a stage; `None` for the build context.
    pub from: Option<String>,
    /// The id of a secret; without it BuildKit uses the file name of the target.
    pub id: Option<String>,
    /// Whether the secret is required, if the mount says so.
    pub required: Option<bool>,
}

impl Instruction {
    fn new(line: usize, text: &str, escape: char) -> Self {
        let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let mut rest = rest.trim_start();
        let mut flags = Vec::new();
        while let Some(word) = words(rest, escape).first().filter(|word| word.starts_with("--")) {
            let after = rest.get(word.len()..).unwrap_or_default().trim_start();
            rest = after;
            let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) else { break };
            let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
            flags.push((name.to_owned(), unquoted(value, escape)));
        }
        Self {
            line,
            keyword: keyword.to_ascii_uppercase(),
            flags,
            arguments: rest.to_owned(),
            documents: Vec::new(),
            comments: Vec::new(),
            escape,
        }
    }

    /// The values of the flag `--name`; a flag without a value is an empty text.
    pub fn flags<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().rfind(|(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    /// Whether a switch such as `--link` is on.
    pub fn switch(&self, name: &str) -> bool {
        self.flag(name).is_some_and(|value| !value.eq_ignore_ascii_case("false"))
    }

    /// The words of the arguments, without quotes.
    pub fn words(&self) -> Vec<String> {
        let words = words(&self.arguments, self.escape);
        words.into_iter().map(|word| unquoted(word, self.escape)).collect()
    }

    /// The arguments in JSON form; `None` for the shell form. BuildKit treats invalid JSON as shell form.
    pub(super) fn json(&self) -> Option<Vec<String>> {
        serde_json::from_str(&self.arguments).ok()
    }

    /// The operands of an instruction with both forms, such as the paths of `COPY`.
    pub fn operands(&self) -> Vec<String> {
        self.json().unwrap_or_else(|| self.words())
    }

    /// The names and values of an `ARG` or `ENV`; `ENV NAME some text` is one pair.
    pub fn pairs(&self) -> Vec<(String, Option<String>)> {
        let words = self.words();
        match words.split_first() {
            Some((name, value)) if self.keyword == "ENV" && !name.contains('=') => {
                vec![(name.clone(), Some(value.join(" ")))]
            }
            _ => words.iter().map(|word| pair(word)).collect(),
        }
    }

    pub fn mounts(&self) -> Vec<Mount> {
        let mount = |text: &str| {
            let field = |names: &[&str]| {
                let pairs = text.split(',').map(|field| {
                    let field = field.trim_matches('"');
                    field.split_once('=').unwrap_or((field, ""))
                });
                let mut found = pairs.filter(|(name, _)| names.contains(name));
                found.next_back().map(|(_, value)| value.to_owned())
            };
            Mount {
                kind: field(&["type"]).unwrap_or_else(|| "bind".to_owned()),
                target: field(&["target", "dst", "destination"]),
                source: field(&["source", "src"]),
                from: field(&["from"]),
                id: field(&["id"]),
                required: field(&["required"]).map(|value| !value.eq_ignore_ascii_case("false")),
            }
        };
        self.flags("mount").map(mount).collect()
    }

    /// The commands of a `RUN`, including here-documents for a shell.
    pub fn commands(&self) -> Vec<ShellCommand> {
        let mut commands = match self.json() {
            Some(words) => shell::of_words(words),
            None => shell::commands(&self.arguments),
        };
        if commands.first().is_none_or(ShellCommand::is_shell) {
            commands.extend(self.documents.iter().flat_map(|text| shell::commands(text)));
        }
        commands
    }
}

fn pair(word: &str) -> (String, Option<String>) {
    match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word.to_owned(), None),
    }
}

/// Comments without their `#`, each with its line number.
type Comments = Vec<(usize, String)>;

/// The instructions of a Dockerfile and the comments below the last one.
pub fn instructions(text: &str) -> (Vec<Instruction>, Comments) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = escape(text);
    let mut instructions = Vec::new();
    let mut comments = Comments::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if is_skipped(number, line, &mut comments) {
            continue;
        }
        let mut whole = String::new();
        let mut rest = line;
        while let Some(head) = continued(rest, escape) {
            whole.push_str(head);
            let next =
                lines.by_ref().find(|(number, line)| !is_skipped(*number, line, &mut comments));
            rest = next.map_or("", |(_, line)| line);
        }
        whole.push_str(rest);
        let mut instruction = Instruction::new(number, whole.trim(), escape);
        instruction.comments = std::mem::take(&mut comments);
        for document in here_documents(&instruction) {
            let body = lines.by_ref().map(|(_, line)| document.line(line));
            let body: Vec<&str> = body.take_while(|line| *line != document.name).collect();
            instruction.documents.push(body.iter().flat_map(|line| [*line, "\n"]).collect());
        }
        instructions.push(instruction);
    }
    (instructions, comments)
}

/// Whether a line is empty or a comment. A comment is added to `comments`.
fn is_skipped(number: usize, line: &str, comments: &mut Comments) -> bool {
    let comment = comment(line);
    comments.extend(comment.map(|text| (number, text.to_owned())));
    comment.is_some() || line.trim().is_empty()
}

/// The text of a comment line.
fn comment(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix('#').map(str::trim)
}

/// The line without its continuation character; `None` if the line does not continue.
fn continued(line: &str, escape: char) -> Option<&str> {
    let head = line.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!head.ends_with(escape)).then_some(head)
}

/// The character that continues a line: a backslash, unless a directive changes it. Directives must come
/// first; any other line ends them.
fn escape(text: &str) -> char {
    let directives = text.lines().map_while(|line| {
        let (name, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        matches!(name.as_str(), "syntax" | "escape" | "check").then_some((name, value.trim()))
    });
    let mut escapes = directives.filter(|(name, _)| name == "escape");
    escapes.next().and_then(|(_, value)| value.chars().next()).unwrap_or('\\')
}

/// A here-document of an instruction.
struct HereDocument {
    name: String,
    /// `<<-` removes the tabs before each line.
    without_tabs: bool,
}

impl HereDocument {
    fn line<'a>(&self, line: &'a str) -> &'a str {
        if self.without_tabs { line.trim_start_matches('\t') } else { line }
    }
}

/// The words `<<NAME`, `<<-NAME`, `3<<NAME` and `<<"NAME"` of a `RUN`, `COPY` or `ADD`.
fn here_documents(instruction: &Instruction) -> Vec<HereDocument> {
    if !matches!(instruction.keyword.as_str(), "RUN" | "COPY" | "ADD") {
        return Vec::new();
    }
    let document = |word: &str| {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
        let (without_tabs, name) = match rest.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, rest),
        };
        let name = unquoted(name, instruction.escape);
        let valid = !name.is_empty() && !name.contains(['<', '$']);
        valid.then_some(HereDocument { name, without_tabs })
    };
    words(&instruction.arguments, instruction.escape).into_iter().filter_map(document).collect()
}

/// The words of a text. Quotes keep a word together and stay part of it.
fn words(text: &str, escape: char) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            words.extend(start.take().and_then(|start| text.get(start..at)));
            continue;
        }
        start.get_or_insert(at);
        match quote {
            _ if character == escape && quote != Some('\'') => {
                characters.next();
            }
            Some(open) if character == open => quote = None,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            _ => {}
        }
    }
    words.extend(start.and_then(|start| text.get(start..)));
    words
}

/// A word without quotes and escapes.
fn unquoted(word: &str, escape: char) -> String {
    let mut text = String::new();
    let mut quote = None;
    let mut characters = word.chars();
    while let Some(character) = characters.next() {
        match quote {
            _ if character == escape && quote != Some('\'') => {
                // `\$` keeps its escape, because it is no variable.
                match characters.next() {
                    Some('$') => text.extend([escape, '$']),
                    Some(next) => text.push(next),
                    None => text.push(character),
                }
            }
            Some(open) if character == open => quote = None,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            _ => text.push(character),
        }
    }
    text
}
