//! The control address of the registry front. The front itself does not serve these endpoints.
//!
//! Besides the endpoints of every stand-in:
//! - `PUT settings` with an object of [`super::switches::Settings`];
//! - `PUT link` with an object of [`Rate`].

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Front;
use crate::http::answer::Answer;
use crate::http::exchange::Exchange;
use crate::http::head::RequestHead;
use crate::http::server::Service;
use crate::http::target;
use crate::watch::{self, Watch};

/// Control requests are short.
const LONGEST: usize = 1024 * 1024;

/// The rate of the link to the front. It is not saved: a restarted server has no limit.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// In each direction, over all connections; none for no limit.
    pub bytes_per_second: Option<u64>,
}

/// The service at the control address.
#[derive(Debug)]
pub struct Control {
    front: Arc<Front>,
    /// Stays empty: control requests are not logged and get no faults.
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
            ("PUT", "settings") => match serde_json::from_slice(body) {
                Ok(settings) => {
                    front.switches.set(settings)?;
                    Answer::json(200, &settings)
                }
                Err(error) => Answer::text(400, format!("invalid settings: {error}\n")),
            },
            ("PUT", "link") => match serde_json::from_slice::<Rate>(body) {
                Ok(rate) => {
                    front.watch.link.set(rate.bytes_per_second);
                    Answer::json(200, &rate)
                }
                Err(error) => Answer::text(400, format!("invalid rate: {error}\n")),
            },
            _ => Answer::text(404, "unknown control endpoint\n"),
        })
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
