//! The control address of the registry front. Nothing here is reachable through the front itself.
//!
//! Besides the endpoints that every stand-in has:
//! - `GET settings`, and `PUT settings` with an object of [`Settings`];
//! - `GET link`, and `PUT link` with an object of [`Rate`];
//! - `POST expire-tokens` makes every issued token worthless, as time would;
//! - `GET manifests` lists what was pushed, `{repository: [{digest, media_type, tags, created}]}`, newest first.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Front;
use crate::http::answer::Answer;
use crate::http::exchange::Exchange;
use crate::http::head::RequestHead;
use crate::http::server::Service;
use crate::http::target;
use crate::state;
use crate::sync::lock;
use crate::watch::{self, Watch};

/// Control requests are short.
const LONGEST: usize = 1024 * 1024;

/// How the front behaves. Absent fields of a posted object take these defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Ask for tokens, as GHCR does.
    pub authentication: bool,
    /// With authentication: whether anyone may pull.
    pub public: bool,
    /// How long an issued token is valid.
    pub token_seconds: u64,
    /// Pass the deletion of manifests on; otherwise 405, as GHCR answers.
    pub manifest_deletion: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { authentication: false, public: false, token_seconds: 300, manifest_deletion: true }
    }
}

/// The rate of the link to the front. It ends with the server, so that nothing stays slow by mistake.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// In each direction, over all connections; none for no limit.
    pub bytes_per_second: Option<u64>,
}

/// The settings, kept in one file.
#[derive(Debug)]
pub struct Switches {
    path: PathBuf,
    settings: Mutex<Settings>,
}

impl Switches {
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("front.json");
        let settings = Mutex::new(state::read_json(&path)?);
        Ok(Self { path, settings })
    }

    pub fn settings(&self) -> Settings {
        *lock(&self.settings)
    }

    fn set(&self, settings: Settings) -> io::Result<()> {
        let mut current = lock(&self.settings);
        state::write_json(&self.path, &settings)?;
        *current = settings;
        Ok(())
    }
}

/// The service at the control address.
#[derive(Debug)]
pub struct Control {
    front: Arc<Front>,
    /// Stays empty: control requests are neither logged nor hit.
    watch: Watch,
}

impl Control {
    pub fn new(front: Arc<Front>) -> Self {
        Self { front, watch: Watch::default() }
    }

    fn answer(&self, method: &str, endpoint: &str, body: &[u8]) -> io::Result<Answer> {
        let front = &self.front;
        if let Some(answer) = watch::control::answer(&front.watch, method, endpoint, body) {
            return Ok(answer);
        }
        Ok(match (method, endpoint) {
            ("GET", "settings") => Answer::json(200, &front.switches.settings()),
            ("PUT", "settings") => match serde_json::from_slice(body) {
                Ok(settings) => {
                    front.switches.set(settings)?;
                    Answer::json(200, &settings)
                }
                Err(error) => Answer::text(400, format!("these are no settings: {error}\n")),
            },
            ("GET", "link") => {
                let bytes_per_second = front.watch.link.bytes_per_second();
                Answer::json(200, &Rate { bytes_per_second })
            }
            ("PUT", "link") => match serde_json::from_slice::<Rate>(body) {
                Ok(rate) => {
                    front.watch.link.set(rate.bytes_per_second);
                    Answer::json(200, &rate)
                }
                Err(error) => Answer::text(400, format!("this is no rate: {error}\n")),
            },
            ("POST", "expire-tokens") => {
                front.authentication.expire();
                Answer::empty(204)
            }
            ("GET", "manifests") => self.manifests(),
            _ => Answer::text(404, "there is no such control endpoint\n"),
        })
    }

    fn manifests(&self) -> Answer {
        let listed = self.front.ledger.read(|packages| {
            packages
                .iter()
                .map(|(repository, package)| {
                    let versions: Vec<_> = package
                        .listed()
                        .map(|version| {
                            json!({
                                "digest": version.digest,
                                "media_type": version.media_type,
                                "tags": version.tags,
                                "created": version.created,
                            })
                        })
                        .collect();
                    (repository.clone(), versions)
                })
                .collect::<std::collections::BTreeMap<_, _>>()
        });
        Answer::json(200, &listed)
    }
}

impl Service for Control {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn kind(&self, _: &RequestHead) -> Option<&'static str> {
        None
    }

    fn serve(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let body = exchange.read_to_end(LONGEST)?;
        let endpoint = target::segments(&exchange.request.target).join("/");
        let answer = self.answer(&exchange.request.method, &endpoint, &body)?;
        exchange.send(answer)
    }

    fn error(&self, _: &RequestHead, status: u16) -> Answer {
        Answer::empty(status)
    }
}
