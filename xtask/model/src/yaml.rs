//! YAML as a tree of texts, lists and maps, each with its line. It reads what workflows and compose files
//! are written in, and knows nothing of either.
//!
//! Every scalar stays the text that it is: whether `true` is a word or a truth value is for its reader to say.

use saphyr_parser::{Event, Parser};

/// A value and the line where it stands, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub line: usize,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Also what is empty: `key:` holds the text of no characters.
    Text(String),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<Entry>),
}

/// One key of a map, with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub line: usize,
    pub value: Node,
}

/// A text and the line where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub line: usize,
    pub text: String,
}

/// Why a file cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlError {
    pub line: usize,
    pub problem: String,
}

impl YamlError {
    pub fn new(line: usize, problem: impl Into<String>) -> Self {
        Self { line, problem: problem.into() }
    }
}

impl Node {
    /// The one document of `text`.
    pub fn parse(text: &str) -> Result<Self, YamlError> {
        let mut builder = Builder::default();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                YamlError::new(error.marker().line(), format!("no YAML: {}", error.info()))
            })?;
            builder.take(event, span.start.line())?;
        }
        builder.root.ok_or_else(|| YamlError::new(1, "it is empty"))
    }

    /// The entries of a map; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a key of this map.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The text that it is.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text with its line; a list or a map is an error that names `what` it stands for.
    pub fn placed(&self, what: &str) -> Result<Placed, YamlError> {
        let wrong = || YamlError::new(self.line, format!("`{what}` is not one value"));
        Ok(Placed { line: self.line, text: self.text().ok_or_else(wrong)?.to_owned() })
    }

    /// The texts of a list, or the one text that stands in its place; none when there is nothing.
    pub fn texts(&self) -> Vec<Placed> {
        let placed = |node: &Self| {
            let text = node.text().filter(|text| !text.is_empty())?.to_owned();
            Some(Placed { line: node.line, text })
        };
        match &self.value {
            Value::List(items) => items.iter().filter_map(placed).collect(),
            _ => placed(self).into_iter().collect(),
        }
    }

    /// Every text at or below this, keys not among them, in the order of the file.
    pub fn all_texts(&self) -> Vec<Placed> {
        match &self.value {
            Value::Text(text) => vec![Placed { line: self.line, text: text.clone() }],
            Value::List(items) => items.iter().flat_map(Self::all_texts).collect(),
            Value::Map(entries) => {
                entries.iter().flat_map(|entry| entry.value.all_texts()).collect()
            }
        }
    }
}

/// A list or a map that is not closed yet, or a key that waits for its value.
enum Open {
    List(usize, Vec<Node>),
    Map(usize, Vec<Entry>),
    Key(usize, String),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, ..) => {
                self.add(Node { line, value: Value::Text(text.into_owned()) })
            }
            Event::SequenceStart(..) => self.start(Open::List(line, Vec::new())),
            Event::MappingStart(..) => self.start(Open::Map(line, Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(line, items)) => self.add(Node { line, value: Value::List(items) }),
                Some(Open::Map(line, entries)) => {
                    self.add(Node { line, value: Value::Map(entries) })
                }
                _ => Ok(()),
            },
            Event::Alias(_) => Err(YamlError::new(line, "an alias (`*name`) is not read here")),
            _ => Ok(()),
        }
    }

    fn start(&mut self, open: Open) -> Result<(), YamlError> {
        let line = match &open {
            Open::List(line, _) | Open::Map(line, _) | Open::Key(line, _) => *line,
        };
        if matches!(self.open.last(), Some(Open::Map(..))) {
            return Err(YamlError::new(line, "a key is not a text"));
        }
        self.open.push(open);
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), YamlError> {
        match self.open.pop() {
            None if self.root.is_some() => {
                return Err(YamlError::new(node.line, "a second document is not read here"));
            }
            None => self.root = Some(node),
            Some(Open::List(line, mut items)) => {
                items.push(node);
                self.open.push(Open::List(line, items));
            }
            Some(Open::Map(line, entries)) => {
                let key = node.text().unwrap_or_default().to_owned();
                if entries.iter().any(|entry| entry.key == key) {
                    return Err(YamlError::new(node.line, format!("`{key}` stands there twice")));
                }
                self.open.extend([Open::Map(line, entries), Open::Key(node.line, key)]);
            }
            Some(Open::Key(line, key)) => {
                if let Some(Open::Map(_, entries)) = self.open.last_mut() {
                    entries.push(Entry { key, line, value: node });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_knows_its_line() {
        let root =
            Node::parse("on:\n  push:\njobs:\n  a:\n    - x: '1'\n      y: 2 # why\n").unwrap();
        assert_eq!(root.get("on").unwrap().get("push").unwrap().text(), Some(""));
        let texts = root.get("jobs").unwrap().all_texts();
        let texts: Vec<_> = texts.iter().map(|placed| (placed.line, &*placed.text)).collect();
        assert_eq!(texts, [(5, "1"), (6, "2")]);
    }

    #[test]
    fn one_text_is_a_list_of_one() {
        let root = Node::parse("a: x\nb: [x, y]\nc:\n").unwrap();
        let count = |key| root.get(key).unwrap().texts().len();
        assert_eq!([count("a"), count("b"), count("c")], [1, 2, 0]);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        let problem = |text| {
            let error = Node::parse(text).unwrap_err();
            format!("{}: {}", error.line, error.problem)
        };
        assert_eq!(problem("a: 1\na: 2\n"), "2: `a` stands there twice");
        assert_eq!(problem("a: &x 1\nb: *x\n"), "2: an alias (`*name`) is not read here");
        assert_eq!(problem("a: 1\n---\nb: 1\n"), "3: a second document is not read here");
        assert_eq!(problem("[a]: 1\n"), "1: a key is not a text");
        assert!(problem("a: [1\n").starts_with("2: no YAML: "), "{}", problem("a: [1\n"));
    }
}
