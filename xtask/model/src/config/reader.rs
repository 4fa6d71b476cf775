//! Reads one table of a TOML file. It reports every wrong key, type or value with the key's full path, its
//! line and column, and the nearest valid one. It knows no particular key.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::failure::Failure;
use crate::spelling::nearest;

/// A value with its place in the file.
type Value<'i> = Spanned<DeValue<'i>>;

/// The file being read, for turning offsets into places.
#[derive(Clone, Copy)]
pub struct SourceFile<'i> {
    pub name: &'i str,
    pub text: &'i str,
}

impl SourceFile<'_> {
    /// `Cargo.toml:12:3`, both counted from 1.
    fn place(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        format!("{}:{line}:{column}", self.name)
    }

    /// Parses the whole file; a syntax error says where.
    pub fn parse<'i>(&self, text: &'i str) -> Result<DeTable<'i>, Failure> {
        DeTable::parse(text).map(Spanned::into_inner).map_err(|error| {
            let place = self.place(error.span().map_or(0, |span| span.start));
            Failure::usage(format!("{place}: not TOML: {}", error.message()))
        })
    }
}

/// One table, read key by key. Every key that was asked for is known; [`Section::finish`] reports the
/// others.
pub struct Section<'i> {
    source: SourceFile<'i>,
    path: String,
    table: &'i DeTable<'i>,
    known: Vec<&'static str>,
}

impl<'i> Section<'i> {
    pub fn new(source: SourceFile<'i>, path: &str, table: &'i DeTable<'i>) -> Self {
        Self { source, path: path.to_owned(), table, known: Vec::new() }
    }

    fn take(&mut self, key: &'static str) -> Option<&'i Value<'i>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn wrong(&self, value: &Value<'_>, key: &str, problem: impl Display) -> Failure {
        let place = self.source.place(value.span().start);
        Failure::usage(format!("{place}: `{}`: {problem}", self.path_of(key)))
    }

    fn mismatch(&self, value: &Value<'_>, key: &str, expected: &str) -> Failure {
        let found = value.get_ref().type_str();
        self.wrong(value, key, format!("expected {expected}, found {}", article(found)))
    }

    fn text_of(&self, value: &'i Value<'i>, key: &str, expected: &str) -> Result<&'i str, Failure> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.as_ref()),
            _ => Err(self.mismatch(value, key, expected)),
        }
    }

    /// A string that parses as `T`.
    pub fn parsed<T>(&mut self, key: &'static str) -> Result<Option<T>, Failure>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.read(key, str::parse)
    }

    /// A string that `read` accepts.
    pub fn read<T, E: Display>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Failure> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let text = self.text_of(value, key, "a string")?;
        read(text).map(Some).map_err(|error| self.wrong(value, key, error))
    }

    /// An array of different strings that `read` accepts.
    pub fn list<T, E: Display>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<Vec<T>>, Failure> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.mismatch(value, key, "an array of strings"));
        };
        let mut seen = Vec::new();
        let mut list = Vec::new();
        for item in items {
            let text = self.text_of(item, key, "a string")?;
            if seen.contains(&text) {
                return Err(self.wrong(item, key, format!("`{text}` is listed twice")));
            }
            seen.push(text);
            list.push(read(text).map_err(|error| self.wrong(item, key, error))?);
        }
        Ok(Some(list))
    }

    /// A whole number within `range`.
    pub fn number(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Failure> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let DeValue::Integer(integer) = value.get_ref() else {
            return Err(self.mismatch(value, key, "a whole number"));
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix());
        match number {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let (low, high) = (range.start(), range.end());
                Err(self.wrong(value, key, format!("{integer} is not between {low} and {high}")))
            }
        }
    }

    /// A share between 0 and 1.
    pub fn share(&mut self, key: &'static str) -> Result<Option<f64>, Failure> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let text = match value.get_ref() {
            DeValue::Float(float) => float.as_str().to_owned(),
            DeValue::Integer(integer) => integer.as_str().to_owned(),
            _ => return Err(self.mismatch(value, key, "a number between 0 and 1")),
        };
        match text.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Some(share)),
            // A share of 70 means 70 %.
            Ok(percent) if (1.0..=100.0).contains(&percent) => {
                let problem =
                    format!("{text} is not between 0 and 1; did you mean {}?", percent / 100.0);
                Err(self.wrong(value, key, problem))
            }
            _ => Err(self.wrong(value, key, format!("{text} is not between 0 and 1"))),
        }
    }

    pub fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, Failure> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Boolean(boolean) => Ok(Some(*boolean)),
            _ => Err(self.mismatch(value, key, "`true` or `false`")),
        }
    }

    /// A table with any keys and with strings that `read` accepts.
    pub fn pairs<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str, &str) -> Result<T, String>,
    ) -> Result<BTreeMap<String, T>, Failure> {
        let Some(value) = self.take(key) else { return Ok(BTreeMap::new()) };
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.mismatch(value, key, "a table of strings"));
        };
        let mut pairs = BTreeMap::new();
        for (name, value) in table {
            let (name, inner) = (name.get_ref().as_ref(), format!("{key}.{}", name.get_ref()));
            let text = self.text_of(value, &inner, "a string")?;
            let read = read(name, text).map_err(|problem| self.wrong(value, &inner, problem))?;
            pairs.insert(name.to_owned(), read);
        }
        Ok(pairs)
    }

    /// The table under `key`, as a section of its own.
    pub fn section(&mut self, key: &'static str) -> Result<Option<Section<'i>>, Failure> {
        let Some(value) = self.take(key) else { return Ok(None) };
        self.inner(value, key).map(Some)
    }

    /// The tables under `key`, by their free names, with the place of each name.
    pub fn sections(
        &mut self,
        key: &'static str,
    ) -> Result<Vec<(&'i str, String, Section<'i>)>, Failure> {
        let Some(outer) = self.section(key)? else { return Ok(Vec::new()) };
        outer
            .table
            .iter()
            .map(|(name, value)| {
                let place = self.source.place(name.span().start);
                let name = name.get_ref().as_ref();
                Ok((name, place, outer.inner(value, name)?))
            })
            .collect()
    }

    fn inner(&self, value: &'i Value<'i>, key: &str) -> Result<Section<'i>, Failure> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(Section::new(self.source, &self.path_of(key), table)),
            _ => Err(self.mismatch(value, key, "a table")),
        }
    }

    /// Reports the first unknown key, with the nearest known one.
    pub fn finish(self) -> Result<(), Failure> {
        let mut unknown: Vec<_> =
            self.table.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref())).collect();
        unknown.sort_by_key(|key| key.span().start);
        let Some(key) = unknown.first() else { return Ok(()) };
        let place = self.source.place(key.span().start);
        let name = key.get_ref().as_ref();
        let path = self.path_of(name);
        let advice = nearest(name, self.known.iter().copied()).map_or_else(
            || format!("expected one of {}", listed(&self.known)),
            |nearest| format!("did you mean `{nearest}`?"),
        );
        Err(Failure::usage(format!("{place}: unknown key `{path}`: {advice}")))
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}
