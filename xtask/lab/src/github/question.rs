//! One parsed request to the API, and the forms of its answers: GitHub's errors, and pages.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::http::answer::Answer;
use crate::http::target;
use crate::tokens::{Level, Token};

const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// An authenticated request.
#[derive(Debug)]
pub struct Question<'r> {
    pub method: &'r str,
    pub target: &'r str,
    /// The address of this API as the client wrote it, `http://host:port`, for URLs in answers.
    pub base: String,
    /// The body; null if there is none.
    pub body: Value,
    pub token: Token,
}

impl Question<'_> {
    /// A text field of the body.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.body.get(field).and_then(Value::as_str)
    }

    pub fn flag(&self, field: &str) -> Option<bool> {
        self.body.get(field).and_then(Value::as_bool)
    }

    /// The refusal of a token without a permission; none if it has it.
    pub fn lacks(&self, resource: &str, needed: Level) -> Option<Answer> {
        (self.token.level(resource) < needed)
            .then(|| error(403, "Resource not accessible by integration"))
    }

    /// The requested page, of at most 100 items, with the `Link` header to its neighbours.
    pub fn page<T, J: Serialize>(&self, items: &[T], show: impl Fn(&T) -> J) -> Answer {
        let number = |name: &str| {
            target::parameter(self.target, name).and_then(|text| text.parse::<usize>().ok())
        };
        let size = number("per_page").unwrap_or(30).clamp(1, 100);
        let page = number("page").unwrap_or(1).max(1);
        let last = items.len().div_ceil(size).max(1);
        let shown: Vec<_> =
            items.iter().skip((page - 1).saturating_mul(size)).take(size).map(show).collect();
        let mut links = Vec::new();
        if page > 1 {
            links.push(self.link(page - 1, "prev"));
        }
        if page < last {
            links.push(self.link(page + 1, "next"));
            links.push(self.link(last, "last"));
        }
        if page > 1 {
            links.push(self.link(1, "first"));
        }
        let answer = Answer::json(200, &shown);
        if links.is_empty() { answer } else { answer.with("Link", links.join(", ")) }
    }

    fn link(&self, page: usize, relation: &str) -> String {
        let path = target::path(self.target);
        let mut query = String::new();
        for (name, value) in target::parameters(self.target).filter(|(name, _)| name != "page") {
            // Writing to a string cannot fail.
            let _ = write!(query, "{name}={}&", target::encode(&value));
        }
        format!("<{}{path}?{query}page={page}>; rel=\"{relation}\"", self.base)
    }
}

/// An error with only a message.
pub fn error(status: u16, message: &str) -> Answer {
    Answer::json(
        status,
        &json!({ "message": message, "documentation_url": DOCUMENTATION, "status": status.to_string() }),
    )
}

pub fn not_found() -> Answer {
    error(404, "Not Found")
}

/// The error for a field that is missing, invalid or taken, with GitHub's code for it.
pub fn invalid(resource: &str, field: &str, code: &str) -> Answer {
    let problem = json!({ "resource": resource, "code": code, "field": field });
    Answer::json(
        422,
        &json!({
            "message": "Validation Failed",
            "errors": [problem],
            "documentation_url": DOCUMENTATION,
            "status": "422",
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::answer::Content;

    fn page(target: &str, items: usize) -> (Vec<usize>, Option<String>) {
        let token = serde_json::from_value(json!({ "token": "t", "login": "l" })).unwrap();
        let question =
            Question { method: "GET", target, base: "http://lab".into(), body: Value::Null, token };
        let answer = question.page(&(1..=items).collect::<Vec<_>>(), |item| *item);
        let Content::Bytes(bytes) = &answer.content else { panic!("a page is no file") };
        (serde_json::from_slice(bytes).unwrap(), answer.headers.get("link").map(str::to_owned))
    }

    #[test]
    fn page_links_keep_the_query() {
        let (items, link) = page("/x?state=a%20b&per_page=2&page=2", 5);
        assert_eq!(items, [3, 4]);
        let relation = |page, name| {
            format!("<http://lab/x?state=a%20b&per_page=2&page={page}>; rel=\"{name}\"")
        };
        let expected =
            [relation(1, "prev"), relation(3, "next"), relation(3, "last"), relation(1, "first")];
        assert_eq!(link, Some(expected.join(", ")));
    }

    #[test]
    fn a_page_has_30_to_100_items() {
        assert_eq!(page("/x", 200).0.len(), 30);
        assert_eq!(page("/x?per_page=500", 200).0.len(), 100);
        assert_eq!(
            page("/x?page=9", 3),
            (
                vec![],
                Some(
                    "<http://lab/x?page=8>; rel=\"prev\", <http://lab/x?page=1>; rel=\"first\""
                        .into()
                )
            )
        );
        assert_eq!(page("/x", 3).1, None);
    }
}
