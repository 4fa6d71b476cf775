//! A registry on this machine for tests without an engine: it stores uploads in memory, logs each
//! request, and runs a hook before the request that a test chooses. The real client talks to it over HTTP.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use xtask::model::manifest::media_type::{OCI_CONFIGURATION, OCI_MANIFEST};
use xtask::model::reference::{Digest, Reference};
use xtask::outside::registry::digest::sha256;

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Including the query.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").map(String::as_str)
    }

    /// Whether the path without its query ends with `end`; an empty `method` matches any.
    fn fits(&self, method: &str, end: &str) -> bool {
        let path = self.path.split('?').next().unwrap();
        (method.is_empty() || self.method == method) && path.ends_with(end)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// 0 closes the connection without an answer.
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// No answer: the connection breaks.
    pub fn broken() -> Self {
        Self::status(0)
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn of(kind: &str, digest: &str, body: Vec<u8>) -> Self {
        Self { status: 200, headers: Vec::new(), body }
            .header("Content-Type", kind)
            .header("Docker-Content-Digest", digest)
    }
}

/// Runs before a request is answered: it may change the stored content, and may answer itself.
type Hook = Arc<dyn Fn(&ScriptedRegistry, &Request) -> Option<Answer> + Send + Sync>;

/// The content of the registry, by repository.
#[derive(Debug, Default)]
struct Content {
    /// Media type and bytes by digest.
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    blobs: BTreeMap<String, Vec<u8>>,
    tags: BTreeMap<String, String>,
}

/// The registry; clones share everything. It answers until the test ends.
#[derive(Clone, Default)]
pub struct ScriptedRegistry {
    address: String,
    repositories: Arc<Mutex<BTreeMap<String, Content>>>,
    hooks: Arc<Mutex<Vec<Hook>>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// Starts an empty registry on a free port.
pub fn start() -> ScriptedRegistry {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let store = ScriptedRegistry { address, ..ScriptedRegistry::default() };
    let server = store.clone();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let server = server.clone();
            std::thread::spawn(move || {
                let Some(request) = read(&connection) else { return };
                let answer = server.answer_with_hooks(&request);
                // A client that has read enough may be gone.
                let _ = write(&connection, &request, &answer);
            });
        }
    });
    store
}

impl ScriptedRegistry {
    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A reference to a repository here, for instance `o/r/web`.
    pub fn reference(&self, repository: &str) -> Reference {
        Reference::normalized(&format!("{}/{repository}", self.address)).unwrap()
    }

    /// Stores an image with these labels and one layer; no tag points to it yet.
    pub fn add_image(&self, repository: &str, labels: &[(&str, &str)]) -> Digest {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let configuration = json!({
            "os": "linux", "architecture": "amd64", "created": "2020-01-02T03:04:05Z",
            "config": { "Labels": labels },
        });
        let entry = |kind: &str, bytes: &[u8]| {
            let digest = self.add_blob(repository, bytes);
            json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
        };
        let configuration = entry(OCI_CONFIGURATION, configuration.to_string().as_bytes());
        let layer = entry("application/vnd.oci.image.layer.v1.tar+gzip", b"a layer");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": configuration,
            "layers": [layer],
        });
        self.add_manifest(repository, OCI_MANIFEST, manifest.to_string().as_bytes())
    }

    pub fn add_manifest(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Digest {
        let digest = sha256(bytes).unwrap();
        let stored = (media_type.to_owned(), bytes.to_vec());
        self.change(repository, |content| content.manifests.insert(digest.to_string(), stored));
        digest
    }

    pub fn add_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = sha256(bytes).unwrap();
        self.change(repository, |content| content.blobs.insert(digest.to_string(), bytes.to_vec()));
        digest
    }

    /// Points a tag to a digest, as another program would.
    pub fn set_tag(&self, repository: &str, tag: &str, digest: &Digest) {
        self.change(repository, |content| content.tags.insert(tag.into(), digest.to_string()));
    }

    pub fn remove_tag(&self, repository: &str, tag: &str) {
        self.change(repository, |content| content.tags.remove(tag));
    }

    /// Removes a manifest or a blob, and leaves the tags that point to it.
    pub fn remove(&self, repository: &str, digest: &Digest) {
        self.change(repository, |content| {
            content.manifests.remove(digest.as_str());
            content.blobs.remove(digest.as_str());
        });
    }

    /// The digest that a tag points to.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<Digest> {
        let found = self.change(repository, |content| content.tags.get(tag).cloned());
        found.map(|digest| Digest::new(digest).unwrap())
    }

    /// Runs `hook` before the `n`-th request, counted from 1, with this method whose path ends with `end`.
    /// The registry answers as always unless the hook returns an answer.
    pub fn before(
        &self,
        n: usize,
        method: &'static str,
        end: &str,
        hook: impl Fn(&Self) -> Option<Answer> + Send + Sync + 'static,
    ) {
        let (seen, end) = (AtomicUsize::new(0), end.to_owned());
        let hook = move |store: &Self, request: &Request| {
            let fits = request.fits(method, &end);
            let is_it = fits && seen.fetch_add(1, Ordering::SeqCst) + 1 == n;
            is_it.then(|| hook(store)).flatten()
        };
        // Before those that answer always.
        self.hooks.lock().unwrap().insert(0, Arc::new(hook));
    }

    /// Answers each such request with `answer`.
    pub fn always(&self, method: &'static str, end: &str, answer: Answer) {
        let end = end.to_owned();
        self.hook(move |_, request| request.fits(method, &end).then(|| answer.clone()));
    }

    /// Runs before every request; the first hook that returns an answer wins.
    pub fn hook(&self, hook: impl Fn(&Self, &Request) -> Option<Answer> + Send + Sync + 'static) {
        self.hooks.lock().unwrap().push(Arc::new(hook));
    }

    /// Removes all hooks: the registry answers normally again.
    pub fn forget_hooks(&self) {
        self.hooks.lock().unwrap().clear();
    }

    /// The requests so far with this method whose path ends with `end`, including those that a hook answered.
    pub fn requests(&self, method: &str, end: &str) -> Vec<Request> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.fits(method, end)).cloned().collect()
    }

    /// All requests so far, as `METHOD PATH`.
    pub fn log(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    fn change<T>(&self, repository: &str, change: impl FnOnce(&mut Content) -> T) -> T {
        change(self.repositories.lock().unwrap().entry(repository.to_owned()).or_default())
    }

    fn answer_with_hooks(&self, request: &Request) -> Answer {
        self.requests.lock().unwrap().push(request.clone());
        // No lock is held while a hook runs, so a hook may send requests itself.
        let hooks = self.hooks.lock().unwrap().clone();
        // Each hook counts, even after another hook has answered.
        let answers: Vec<Answer> = hooks.iter().filter_map(|hook| hook(self, request)).collect();
        answers.into_iter().next().unwrap_or_else(|| self.answer(request))
    }

    /// The registry's own answer, without hooks.
    pub fn answer(&self, request: &Request) -> Answer {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let path = path.strip_prefix("/v2/").unwrap_or_default();
        for (kind, act) in [
            ("/manifests/", manifest as fn(&mut Content, &Request, &str) -> Answer),
            ("/tags/", tag_list),
            ("/blobs/uploads/", upload),
            ("/blobs/", blob),
        ] {
            if let Some((repository, name)) = path.split_once(kind) {
                let name = if kind == "/blobs/uploads/" { query } else { name };
                return self.change(repository, |content| act(content, request, name));
            }
        }
        Answer::status(if path.is_empty() { 200 } else { 404 })
    }
}

fn manifest(content: &mut Content, request: &Request, name: &str) -> Answer {
    let digest = content.tags.get(name).cloned().unwrap_or_else(|| name.to_owned());
    match request.method.as_str() {
        "PUT" => {
            let digest = sha256(&request.body).unwrap().to_string();
            let kind = request.headers.get("content-type").cloned().unwrap_or_default();
            content.manifests.insert(digest.clone(), (kind, request.body.clone()));
            if !name.contains(':') {
                content.tags.insert(name.to_owned(), digest.clone());
            }
            Answer::status(201).header("Docker-Content-Digest", digest)
        }
        "DELETE" => {
            content.tags.retain(|_, there| *there != digest);
            let was_there = content.manifests.remove(&digest).is_some();
            Answer::status(if was_there { 202 } else { 404 })
        }
        _ => match content.manifests.get(&digest) {
            Some((kind, bytes)) => Answer::of(kind, &digest, bytes.clone()),
            None => Answer::status(404),
        },
    }
}

fn tag_list(content: &mut Content, _: &Request, _: &str) -> Answer {
    if content.manifests.is_empty() {
        return Answer::status(404);
    }
    let tags: Vec<&String> = content.tags.keys().collect();
    let body = json!({ "tags": tags }).to_string().into_bytes();
    Answer { status: 200, headers: Vec::new(), body }
}

fn blob(content: &mut Content, _: &Request, digest: &str) -> Answer {
    match content.blobs.get(digest) {
        Some(bytes) => Answer::of("application/octet-stream", digest, bytes.clone()),
        None => Answer::status(404),
    }
}

/// An upload in one piece: POST, then PUT to the same place.
fn upload(content: &mut Content, request: &Request, query: &str) -> Answer {
    match (request.method.as_str(), query.strip_prefix("digest=")) {
        ("PUT", Some(digest)) => {
            content.blobs.insert(digest.to_owned(), request.body.clone());
            Answer::status(201)
        }
        ("POST", _) => Answer::status(202).header("Location", request.path.clone()),
        _ => Answer::status(204),
    }
}

fn read(connection: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}

fn write(mut connection: &TcpStream, request: &Request, answer: &Answer) -> std::io::Result<()> {
    let Answer { status, headers, body } = answer;
    if *status == 0 {
        return Ok(());
    }
    write!(connection, "HTTP/1.1 {status} Any\r\nConnection: close\r\n")?;
    let now = httpdate::fmt_http_date(std::time::SystemTime::now());
    write!(connection, "Content-Length: {}\r\nDate: {now}\r\n", body.len())?;
    for (name, value) in headers {
        write!(connection, "{name}: {value}\r\n")?;
    }
    write!(connection, "\r\n")?;
    if request.method != "HEAD" {
        connection.write_all(body)?;
    }
    Ok(())
}
