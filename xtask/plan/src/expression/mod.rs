//! Expressions of GitHub Actions, as far as workflows here use them: literals, contexts, `!`, `==`, `!=`,
//! `&&`, `||`, parentheses and a few functions. What is not known is an error that names it, never a guess.
//!
//! Source: "Evaluate expressions in workflows and actions".

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Values by context: `github`, `needs`, `matrix` and so on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contexts {
    pub values: BTreeMap<String, Value>,
    /// Contexts whose values come only while the jobs run.
    pub later: BTreeSet<String>,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoValue {
    /// It reads a context whose values come later.
    Later(String),
    /// It cannot be read, or it asks for what is not known here.
    Unknown(String),
}

impl Contexts {
    /// The same with one more context.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.later.remove(name);
        self.values.insert(name.to_owned(), value);
        self
    }

    /// The text with the value of each `${{ … }}` in its place.
    pub fn text(&self, template: &str) -> Result<String, NoValue> {
        let mut text = String::new();
        for part in parts(template).map_err(NoValue::Unknown)? {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Expression(expression) => text.push_str(&shown(&self.value(expression)?)),
            }
        }
        Ok(text)
    }

    /// Whether a condition holds; it may stand in `${{ }}` or not.
    pub fn holds(&self, condition: &str) -> Result<bool, NoValue> {
        Ok(is_true(&self.value(bare(condition))?))
    }

    /// The value of an expression.
    pub fn value(&self, expression: &str) -> Result<Value, NoValue> {
        let parsed = parse(expression).map_err(NoValue::Unknown)?;
        self.evaluated(&parsed)
    }

    fn evaluated(&self, expression: &Expression) -> Result<Value, NoValue> {
        let holds = |inner: &Expression| Ok(is_true(&self.evaluated(inner)?));
        Ok(match expression {
            Expression::Literal(value) => value.clone(),
            Expression::Path(path) => self.looked_up(path)?,
            Expression::Call(name, arguments) => {
                let values: Vec<Value> = arguments
                    .iter()
                    .map(|inner| self.evaluated(inner))
                    .collect::<Result<_, _>>()?;
                called(name, &values)?
            }
            Expression::Not(inner) => Value::Bool(!holds(inner)?),
            Expression::Equal(left, right, wanted) => {
                Value::Bool(equal(&self.evaluated(left)?, &self.evaluated(right)?) == *wanted)
            }
            // As in GitHub's language the value is that of the side that decided.
            Expression::And(left, right) if holds(left)? => self.evaluated(right)?,
            Expression::Or(left, right) if !holds(left)? => self.evaluated(right)?,
            Expression::And(left, _) | Expression::Or(left, _) => self.evaluated(left)?,
        })
    }

    fn looked_up(&self, path: &[String]) -> Result<Value, NoValue> {
        let Some((root, rest)) = path.split_first() else { return Ok(Value::Null) };
        if self.later.contains(root) {
            return Err(NoValue::Later(path.join(".")));
        }
        let root = self
            .values
            .get(root)
            .ok_or_else(|| NoValue::Unknown(format!("there is no context `{root}` here")))?;
        // What is not there is null, as on GitHub.
        let found = rest.iter().try_fold(root, |value, key| value.get(key));
        Ok(found.cloned().unwrap_or(Value::Null))
    }
}

/// A text or an expression of a template.
enum Part<'t> {
    Text(&'t str),
    Expression(&'t str),
}

fn parts(template: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, inside)) = rest.split_once("${{") {
        let end = end_of_expression(inside).ok_or_else(|| format!("`{template}` has no `}}}}`"))?;
        parts.push(Part::Text(before));
        parts.push(Part::Expression(inside.get(..end).unwrap_or_default().trim()));
        rest = inside.get(end + 2..).unwrap_or_default();
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// Where `}}` stands outside of quotes.
fn end_of_expression(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut last = ' ';
    for (position, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '}' if !quoted && last == '}' => return Some(position - 1),
            _ => {}
        }
        last = c;
    }
    None
}

/// A condition without the `${{ }}` that may stand around it.
fn bare(condition: &str) -> &str {
    let text = condition.trim();
    let inner = text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    inner.unwrap_or(text).trim()
}

/// The paths that a template or a condition reads, such as `needs.plan.outputs.matrix`.
pub fn paths(text: &str) -> Result<Vec<Vec<String>>, String> {
    let parts =
        if text.contains("${{") { parts(text)? } else { vec![Part::Expression(bare(text))] };
    let mut found = Vec::new();
    for part in parts {
        if let Part::Expression(expression) = part {
            parse(expression)?.collect_paths(&mut found);
        }
    }
    Ok(found)
}

/// The one expression that a template consists of.
pub fn only_expression(template: &str) -> Option<&str> {
    let template = template.trim();
    let end = end_of_expression(template.strip_prefix("${{")?)?;
    (end + 5 == template.len()).then(|| bare(template))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(holds) => *holds,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Texts are equal whatever their case; values of different kinds are compared as numbers.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => left.eq_ignore_ascii_case(right),
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
            left == right
        }
        // Not a number equals nothing, not even itself.
        #[expect(clippy::float_cmp, reason = "this is the equality of GitHub's language")]
        _ => number(left) == number(right),
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Bool(true) => 1.0,
        Value::Null | Value::Bool(false) => 0.0,
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Value::String(text) if text.trim().is_empty() => 0.0,
        Value::String(text) => text.trim().parse().unwrap_or(f64::NAN),
        Value::Array(_) | Value::Object(_) => f64::NAN,
    }
}

fn called(name: &str, values: &[Value]) -> Result<Value, NoValue> {
    let unknown = |problem: String| Err(NoValue::Unknown(problem));
    match (name.to_ascii_lowercase().as_str(), values) {
        ("fromjson", [value]) => serde_json::from_str(&shown(value)).or_else(|error| {
            unknown(format!("`fromJSON` got no JSON: `{}`: {error}", shown(value)))
        }),
        ("contains", [Value::Array(items), item]) => {
            Ok(Value::Bool(items.iter().any(|other| equal(other, item))))
        }
        ("contains", [text, part]) => Ok(Value::Bool(lower(text).contains(&lower(part)))),
        ("startswith", [text, part]) => Ok(Value::Bool(lower(text).starts_with(&lower(part)))),
        ("endswith", [text, part]) => Ok(Value::Bool(lower(text).ends_with(&lower(part)))),
        (_, values) => unknown(format!(
            "the function `{name}` with {} arguments is not known here",
            values.len()
        )),
    }
}

fn lower(value: &Value) -> String {
    shown(value).to_lowercase()
}

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    Literal(Value),
    Path(Vec<String>),
    Call(String, Vec<Expression>),
    Not(Box<Expression>),
    /// Whether both are equal, or not.
    Equal(Box<Expression>, Box<Expression>, bool),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
}

impl Expression {
    fn collect_paths(&self, found: &mut Vec<Vec<String>>) {
        match self {
            Self::Literal(_) => {}
            Self::Path(path) => found.push(path.clone()),
            Self::Call(_, arguments) => {
                for inner in arguments {
                    inner.collect_paths(found);
                }
            }
            Self::Not(inner) => inner.collect_paths(found),
            Self::Equal(left, right, _) | Self::And(left, right) | Self::Or(left, right) => {
                left.collect_paths(found);
                right.collect_paths(found);
            }
        }
    }
}

mod grammar;
use grammar::parse;

#[cfg(test)]
mod tests;
