//! The part of GitHub's REST API that releasing and pruning need, with its real rules for authentication,
//! permissions, rate limits, validation and pages.
//!
//! It is stricter than GitHub in one point: every request needs a token, even for public data.

mod control;
mod git;
mod limits;
mod packages;
mod question;
mod releases;
mod repositories;
mod state;

use std::io;

use serde_json::{Value, json};

use crate::http::answer::Answer;
use crate::http::exchange::Exchange;
use crate::http::head::RequestHead;
use crate::http::server::Service;
use crate::http::target;
use crate::watch::Watch;
use packages::Named;
use question::{Question, error, not_found};
use releases::Releases;
pub use state::Github;

/// Release notes may have 125,000 characters; a control request may change 10,000 versions at once.
const LARGEST_BODY: usize = 16 * 1024 * 1024;
const CONTROL: &str = "/_lab/";

impl Github {
    /// Authenticates, counts, and answers with the headers of the limits.
    fn answer(&self, request: &RequestHead, body: &[u8]) -> io::Result<Answer> {
        let authorization = request.headers.get("authorization").unwrap_or_default();
        let Some((_, text)) = authorization.split_once(' ') else {
            return Ok(error(401, "Requires authentication"));
        };
        let Some(token) = self.tokens.find(text.trim()) else {
            return Ok(error(401, "Bad credentials"));
        };
        if let Err(refused) = self.limits.admit(&token, &request.method) {
            return Ok(self.limits.stamped(&token, refused));
        }
        let body = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(body) };
        let Ok(body) = body else {
            return Ok(self.limits.stamped(&token, error(400, "Problems parsing JSON")));
        };
        let base = format!("http://{}", request.headers.get("host").unwrap_or_default());
        let question =
            Question { method: &request.method, target: &request.target, base, body, token };
        let answer = self.route(&question)?;
        Ok(self
            .limits
            .stamped(&question.token, answer)
            .with("x-github-api-version-selected", "2022-11-28"))
    }

    fn route(&self, question: &Question<'_>) -> io::Result<Answer> {
        let segments = target::segments(question.target);
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["users", owner] if question.method == "GET" => Ok(self.owner(owner)),
            ["repos", owner, name, rest @ ..] => self.repository(question, owner, name, rest),
            [space @ ("users" | "orgs"), owner, "packages", rest @ ..] => {
                self.package(question, space, owner, rest)
            }
            _ => Ok(not_found()),
        }
    }

    fn owner(&self, login: &str) -> Answer {
        let Some(kind) = self.owner_type(login) else { return not_found() };
        let page = format!("https://github.com/{login}");
        Answer::json(200, &json!({ "login": login, "type": kind, "html_url": page }))
    }

    /// The type of a registered owner, or of one who has pushed something: then a user.
    fn owner_type(&self, login: &str) -> Option<String> {
        let registered = self.repositories.owner_type(login);
        registered.or_else(|| self.packages.knows_owner(login).then(|| "User".to_owned()))
    }

    fn repository(
        &self,
        question: &Question<'_>,
        owner: &str,
        name: &str,
        rest: &[&str],
    ) -> io::Result<Answer> {
        let full_name = format!("{owner}/{name}");
        let Some(repository) = self.repositories.find(&full_name) else { return Ok(not_found()) };
        match rest {
            ["releases", rest @ ..] => {
                Releases { repositories: &self.repositories, full_name: &full_name, repository }
                    .answer(question, rest)
            }
            _ => Ok(not_found()),
        }
    }

    fn package(
        &self,
        question: &Question<'_>,
        space: &str,
        owner: &str,
        rest: &[&str],
    ) -> io::Result<Answer> {
        // Each kind of owner has its own paths; those of the other kind answer 404.
        let expected = if space == "users" { "User" } else { "Organization" };
        if self.owner_type(owner).is_none_or(|kind| kind != expected) {
            return Ok(not_found());
        }
        match rest {
            ["container", name, rest @ ..] => {
                self.packages.answer(question, &Named { space, owner, name }, rest)
            }
            _ => Ok(not_found()),
        }
    }
}

impl Service for Github {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn kind(&self, request: &RequestHead) -> Option<&'static str> {
        let path = target::path(&request.target);
        if path.starts_with(CONTROL) {
            return None;
        }
        let has = |word: &str| path.split('/').any(|segment| segment == word);
        Some(
            ["packages", "releases", "users", "repos"]
                .into_iter()
                .find(|word| has(word))
                .unwrap_or("other"),
        )
    }

    fn serve(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let body = exchange.read_to_end(LARGEST_BODY)?;
        let request = &exchange.request;
        let answer = if target::path(&request.target).starts_with(CONTROL) {
            let segments = target::segments(&request.target);
            let endpoint: Vec<_> = segments.iter().skip(1).map(String::as_str).collect();
            control::answer(self, &request.method, &endpoint, &body)?
        } else {
            self.answer(request, &body)?
        };
        exchange.send(answer)
    }

    fn error(&self, _: &RequestHead, status: u16) -> Answer {
        error(
            status,
            match status {
                401 => "Bad credentials",
                403 => "Resource not accessible by integration",
                404 => "Not Found",
                _ => "Server Error",
            },
        )
    }
}
