//! The registry front: a reverse proxy before the real registry. It counts, injects faults, keeps the ledger
//! of pushed manifests, and can ask for tokens as GHCR does. It stores no image and decides nothing about
//! content: the registry answers every request that the front does not refuse.

pub mod authentication;
pub mod control;
mod error;
mod route;
mod switches;

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use crate::clock;
use crate::http::answer::{Answer, Content};
use crate::http::exchange::Exchange;
use crate::http::head::{Headers, RequestHead, ResponseHead};
use crate::http::server::Service;
use crate::ledger::Ledger;
use crate::ledger::packages::{Event, What};
use crate::registry::Registry;
use crate::tokens::Tokens;
use crate::watch::Watch;
use authentication::Authentication;
use route::{Kind, Route};
use switches::Switches;

/// The registry itself refuses manifests of more than 4 MiB, so the front must let them through.
const LARGEST_MANIFEST: usize = 8 * 1024 * 1024;

/// The front.
#[derive(Debug)]
pub struct Front {
    registry: Arc<Registry>,
    ledger: Arc<Ledger>,
    authentication: Authentication,
    switches: Switches,
    watch: Watch,
}

impl Front {
    pub fn open(
        directory: &Path,
        registry: Arc<Registry>,
        ledger: Arc<Ledger>,
        tokens: Arc<Tokens>,
    ) -> Result<Self> {
        Ok(Self {
            registry,
            ledger,
            authentication: Authentication::new(tokens),
            switches: Switches::open(directory)?,
            watch: Watch::default(),
        })
    }

    /// The answer to a request that does not reach the registry.
    fn refuse(&self, request: &RequestHead, route: &Route) -> Option<Answer> {
        if !self.switches.settings().authentication {
            return None;
        }
        if route.kind == Kind::Token {
            return Some(self.authentication.issue(request));
        }
        self.authentication.check(request, route)
    }

    /// The answer to a read of a made-up manifest.
    fn made_up(&self, request: &RequestHead, route: &Route) -> io::Result<Option<Answer>> {
        if route.kind != Kind::Manifest || !matches!(&*request.method, "GET" | "HEAD") {
            return Ok(None);
        }
        let found = self.ledger.read(|packages| {
            let version = packages.get(&route.repository)?.made_up(&route.reference)?;
            Some((version.digest.clone(), version.media_type.clone()))
        });
        let Some((digest, media_type)) = found else { return Ok(None) };
        let bytes = Content::Bytes(self.ledger.manifest(&digest)?);
        let answer = Answer::empty(200).with("Content-Type", media_type);
        Ok(Some(answer.with("Docker-Content-Digest", digest).holding(bytes)))
    }

    fn forward(&self, exchange: &mut Exchange<'_>, route: &Route) -> io::Result<()> {
        let mut head = exchange.request.clone();
        head.headers.remove_hop_by_hop();
        if self.switches.settings().authentication {
            // The token is the front's; the registry does not know it.
            head.headers.remove("authorization");
        }
        let manifest = if head.method == "PUT" && route.kind == Kind::Manifest {
            Some(exchange.read_to_end(LARGEST_MANIFEST)?)
        } else {
            None
        };
        let Ok(mut upstream) = self.registry.take() else {
            return exchange.send(self.unreachable());
        };
        match &manifest {
            // As with a relayed body: a registry that stops reading has answered.
            Some(bytes) => drop(upstream.send(&mut head, bytes)),
            None => upstream.relay(&mut head, exchange)?,
        }
        let Ok(response) = upstream.receive() else { return exchange.send(self.unreachable()) };
        self.note(&head, route, &response, manifest.as_deref())?;
        exchange.start(self.outward(response.clone(), &head.headers))?;
        upstream.body(&head.method, &response, |content| exchange.write(content))?;
        exchange.finish()?;
        if response.persistent {
            self.registry.keep(upstream);
        }
        Ok(())
    }

    /// Enters pushed and deleted manifests in the ledger before the client gets the answer.
    fn note(
        &self,
        head: &RequestHead,
        route: &Route,
        response: &ResponseHead,
        manifest: Option<&[u8]>,
    ) -> io::Result<()> {
        let digest = response.headers.get("docker-content-digest");
        let what = match (response.status, manifest, digest) {
            (201, Some(bytes), Some(digest)) => {
                self.ledger.keep_manifest(digest, bytes)?;
                What::Pushed {
                    digest: digest.to_owned(),
                    tag: route.tag().map(str::to_owned),
                    media_type: head.headers.get("content-type").unwrap_or_default().to_owned(),
                }
            }
            (202, ..) if head.method == "DELETE" && route.kind == Kind::Manifest => {
                What::Deleted { digest: route.reference.clone() }
            }
            _ => return Ok(()),
        };
        self.ledger.enter([Event {
            repository: route.repository.clone(),
            at: clock::seconds(),
            what,
        }])
    }

    /// The response for the client: addresses of the registry become addresses of the front.
    fn outward(&self, mut response: ResponseHead, request: &Headers) -> ResponseHead {
        response.headers.remove_hop_by_hop();
        let registry = format!("http://{}", self.registry.address);
        let location =
            response.headers.get("location").and_then(|location| location.strip_prefix(&registry));
        if let (Some(path), Some(host)) = (location.map(str::to_owned), request.get("host")) {
            response.headers.set("Location", format!("http://{host}{path}"));
        }
        response
    }

    fn unreachable(&self) -> Answer {
        Answer::text(502, format!("the registry at `{}` does not answer\n", self.registry.address))
    }
}

impl Service for Front {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn kind(&self, request: &RequestHead) -> Option<&'static str> {
        Some(Route::of(&request.target).kind.name())
    }

    fn serve(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let route = Route::of(&exchange.request.target);
        if let Some(answer) = self.refuse(&exchange.request, &route) {
            return exchange.send(answer);
        }
        match self.made_up(&exchange.request, &route)? {
            Some(answer) => exchange.send(answer),
            None => self.forward(exchange, &route),
        }
    }

    fn error(&self, request: &RequestHead, status: u16) -> Answer {
        let answer = error::answer(status);
        if status == 401 {
            answer.with(
                "WWW-Authenticate",
                authentication::challenge(request, &Route::of(&request.target)),
            )
        } else {
            answer
        }
    }
}
