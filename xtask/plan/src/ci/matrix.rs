//! The matrix of a job: how often the job runs, and with which values.

use serde_json::{Map, Value, json};

use crate::expression::{Contexts, NoValue, only_expression};
use xtask_model::failure::Failure;
use xtask_model::workflow::{Job, Matrix};
use xtask_model::yaml::Placed;

use super::{Instance, at};

/// The runs of a job, one where it has no matrix.
pub(super) fn instances(job: &Job, contexts: &Contexts) -> Result<Vec<Instance>, Failure> {
    match &job.matrix {
        None => Ok(vec![Instance { matrix: Some(json!({})), label: None }]),
        Some(Matrix::Whole(placed)) => match value(contexts, placed) {
            Ok(Value::Object(dimensions)) => all_of(&dimensions, placed),
            Ok(other) => Err(at(placed, format!("the matrix is `{other}`, and no object"))),
            Err(NoValue::Later(_)) => {
                let label = Some(format!("each of {}", placed.text));
                Ok(vec![Instance { matrix: None, label }])
            }
            Err(NoValue::Unknown(problem)) => Err(at(placed, problem)),
        },
        Some(Matrix::Dimensions(known)) => {
            let mut dimensions = Map::new();
            for (name, values) in known {
                let mut list = Vec::new();
                for placed in values {
                    match value(contexts, placed) {
                        Ok(Value::Array(more)) => list.extend(more),
                        Ok(one) => list.push(one),
                        Err(NoValue::Later(path) | NoValue::Unknown(path)) => {
                            return Err(at(placed, format!("`{path}` is not known here")));
                        }
                    }
                }
                dimensions.insert(name.clone(), Value::Array(list));
            }
            all_of(&dimensions, &Placed { line: job.line, text: String::new() })
        }
    }
}

/// A text, or the value of the one expression that it is.
fn value(contexts: &Contexts, placed: &Placed) -> Result<Value, NoValue> {
    match only_expression(&placed.text) {
        Some(expression) => contexts.value(expression),
        None => contexts.text(&placed.text).map(Value::String),
    }
}

/// Every combination of the dimensions, the last one turning fastest.
fn all_of(dimensions: &Map<String, Value>, placed: &Placed) -> Result<Vec<Instance>, Failure> {
    let mut found = vec![Map::new()];
    for (name, values) in dimensions {
        if matches!(name.as_str(), "include" | "exclude") {
            return Err(at(placed, format!("`{name}` of a matrix is not known here")));
        }
        let Value::Array(values) = values else {
            return Err(at(placed, format!("`{name}` of the matrix is no list")));
        };
        let with = |one: &Map<String, Value>, value: &Value| {
            let mut more = one.clone();
            more.insert(name.clone(), value.clone());
            more
        };
        found = found
            .iter()
            .flat_map(|one| values.iter().map(move |value| with(one, value)).collect::<Vec<_>>())
            .collect();
    }
    let instance = |matrix: Map<String, Value>| {
        let values: Vec<String> = matrix
            .values()
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect();
        Instance { label: Some(values.join(", ")), matrix: Some(Value::Object(matrix)) }
    };
    Ok(found.into_iter().map(instance).collect())
}
