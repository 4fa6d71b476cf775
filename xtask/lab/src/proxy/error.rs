//! Errors in the form of the distribution specification: `{"errors":[{"code","message"}]}`, with GHCR's words where
//! they differ.

use serde_json::json;

use crate::http::answer::Answer;

/// The usual error of a status.
pub fn answer(status: u16) -> Answer {
    let (code, message) = match status {
        401 => ("UNAUTHORIZED", "authentication required"),
        403 => ("DENIED", "permission_denied: write_package"),
        404 => ("NAME_UNKNOWN", "repository name not known to registry"),
        405 => ("UNSUPPORTED", "The operation is unsupported."),
        429 => ("TOOMANYREQUESTS", "too many requests"),
        503 => ("UNAVAILABLE", "service unavailable"),
        _ => ("UNKNOWN", "unknown error"),
    };
    with(status, code, message)
}

pub fn with(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "errors": [{ "code": code, "message": message }] }))
        .with("Docker-Distribution-Api-Version", "registry/2.0")
}
