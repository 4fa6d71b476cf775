//! One plain command line as a POSIX shell reads it: words, quotes and variables, and nothing else. What
//! would need a shell (a pipe, a second command, a pattern) is an error, because nothing here is one.

/// A word, made of texts and variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(pub Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// `$NAME` or `${NAME}`; one that is not quoted is split at blanks by a shell.
    Variable {
        name: String,
        quoted: bool,
    },
}

impl Word {
    /// The word with `value` of each variable in its place.
    pub fn expanded(&self, value: impl Fn(&str) -> String) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable { name, .. } => value(name),
        };
        self.0.iter().map(text).collect()
    }

    /// The variables that it reads.
    pub fn variables(&self) -> impl Iterator<Item = (&str, bool)> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Variable { name, quoted } => Some((name.as_str(), *quoted)),
            Piece::Text(_) => None,
        })
    }
}

/// The words of `line`, up to a comment.
pub fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut reader = Reader { rest: line.trim().chars().peekable(), words: Vec::new(), word: None };
    while let Some(next) = reader.rest.next() {
        match next {
            '\n' | '\r' => return Err("it has more than one line".to_owned()),
            c if c.is_whitespace() => reader.end_word(),
            '#' if reader.word.is_none() => break,
            '\'' => reader.single_quoted()?,
            '"' => reader.double_quoted()?,
            '\\' => {
                let escaped = reader.rest.next().ok_or("it ends with a backslash")?;
                reader.push(escaped);
            }
            '$' => reader.variable(false)?,
            c if "|&;<>()`*?[]{}~!".contains(c) => {
                return Err(format!("`{c}` needs a shell"));
            }
            c => reader.push(c),
        }
    }
    reader.end_word();
    Ok(reader.words)
}

struct Reader<'l> {
    rest: std::iter::Peekable<std::str::Chars<'l>>,
    words: Vec<Word>,
    word: Option<Word>,
}

impl Reader<'_> {
    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn word(&mut self) -> &mut Vec<Piece> {
        &mut self.word.get_or_insert_with(|| Word(Vec::new())).0
    }

    fn push(&mut self, c: char) {
        let word = self.word();
        match word.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => word.push(Piece::Text(c.to_string())),
        }
    }

    fn single_quoted(&mut self) -> Result<(), String> {
        self.word();
        loop {
            match self.rest.next().ok_or("a `'` is not closed")? {
                '\'' => return Ok(()),
                c => self.push(c),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<(), String> {
        self.word();
        loop {
            match self.rest.next().ok_or("a `\"` is not closed")? {
                '"' => return Ok(()),
                '$' => self.variable(true)?,
                '`' => return Err("`` ` `` needs a shell".to_owned()),
                '\\' if matches!(self.rest.peek(), Some('"' | '\\' | '$' | '`')) => {
                    self.rest.next().into_iter().for_each(|c| self.push(c));
                }
                c => self.push(c),
            }
        }
    }

    fn variable(&mut self, quoted: bool) -> Result<(), String> {
        let braced = self.rest.next_if_eq(&'{').is_some();
        let mut name = String::new();
        let of_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        while let Some(c) = self.rest.next_if(of_name) {
            name.push(c);
        }
        if name.is_empty() || (braced && self.rest.next_if_eq(&'}').is_none()) {
            return Err("only `$NAME` and `${NAME}` are read here".to_owned());
        }
        self.word().push(Piece::Variable { name, quoted });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let words = words(line).unwrap();
        let shown: Vec<_> = words.iter().map(|word| word.expanded(|n| format!("<{n}>"))).collect();
        assert_eq!(shown, expected, "{line}");
    }

    #[test]
    fn words_are_those_of_a_shell() {
        check("cargo  xtask build # why", &["cargo", "xtask", "build"]);
        check(r#"a "b c" 'd $E' f\ g "" h#i"#, &["a", "b c", "d $E", "f g", "", "h#i"]);
        check(r#"x "$A" ${B}.c "d\"$E""#, &["x", "<A>", "<B>.c", "d\"<E>"]);
    }

    #[test]
    fn a_variable_tells_whether_it_is_quoted() {
        let words = words(r#""$A" $B"#).unwrap();
        let found: Vec<_> = words.iter().flat_map(Word::variables).collect();
        assert_eq!(found, [("A", true), ("B", false)]);
    }

    #[test]
    fn what_needs_a_shell_is_refused_by_name() {
        for (line, problem) in [
            ("a | b", "`|` needs a shell"),
            ("a && b", "`&` needs a shell"),
            ("a > b", "`>` needs a shell"),
            ("a \"`b`\"", "`` ` `` needs a shell"),
            ("a $(b)", "only `$NAME` and `${NAME}` are read here"),
            ("a ${b:-c}", "only `$NAME` and `${NAME}` are read here"),
            ("a\nb", "it has more than one line"),
            ("a 'b", "a `'` is not closed"),
        ] {
            assert_eq!(words(line).unwrap_err(), problem, "{line}");
        }
    }
}
