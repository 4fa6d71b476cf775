//! A package that BuildKit published twice, the findings of `verify` about it, and ways to damage and restore it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::lab::Lab;
use super::{Fixture, Ran};

pub const LIMITS: &str = "size-limit = \"100MB\"\n";

/// A service that was pushed twice, which gives an image to compare with.
pub fn published() -> (Fixture, Lab) {
    let fixture = Fixture::unpublished();
    fixture.configure(LIMITS);
    let lab = Lab::up(&fixture);
    for text in ["one", "two"] {
        let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        fixture.service(
            "web",
            &format!(
                "FROM debian:bookworm AS build\nRUN echo {seed} > /made\nFROM debian:bookworm\n\
                 COPY --link --from=build /made /x\nCOPY --link {text} /text\nUSER 1000:1000\n"
            ),
        );
        fixture.write(&format!("services/web/{text}"), text);
        fixture.write("services/web/.dockerignore", ".git\n.env\n");
        fixture.commit(text);
        fixture.xtask(&["push", "--lab"]).expect(0);
    }
    (fixture, lab)
}

pub fn verify(fixture: &Fixture, more: &[&str]) -> Ran {
    fixture.xtask(&[&["verify", "--lab", "--format=json"], more].concat())
}

/// What `verify` finds worth a look, as `level subject check: detail`. Its exit code is that of the worst,
/// and its remedies are valid commands.
pub fn findings(fixture: &Fixture, more: &[&str]) -> Vec<String> {
    let ran = verify(fixture, more);
    let found = ran.json();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let list = found.as_array().unwrap().iter();
    let worth = list.filter(|finding| !matches!(finding["level"].as_str(), Some("pass" | "skip")));
    let found: Vec<String> = worth
        .map(|finding| {
            can_be_typed(&text(finding, "remedy"));
            let [level, subject, check, detail] =
                ["level", "subject", "check", "detail"].map(|name| text(finding, name));
            format!("{level} {subject} {check}: {detail}")
        })
        .collect();
    let any = |level: &str| found.iter().any(|line| line.starts_with(level));
    let code = match (any("fail "), any("unknown ")) {
        (true, _) => 1,
        (false, true) => 4,
        (false, false) => 0,
    };
    assert_eq!(ran.code, Some(code), "{found:#?}");
    found
}

/// The command line accepts each `cargo xtask` line of a remedy.
#[track_caller]
fn can_be_typed(remedy: &str) {
    for line in remedy.split(" && ").filter_map(|line| line.strip_prefix("cargo ")) {
        let parsed = <xtask::cli::Cli as clap::Parser>::try_parse_from(line.split(' '));
        assert!(parsed.is_ok(), "{line}");
    }
}

/// One repository at the registry, which can be damaged and restored.
pub struct Package<'l> {
    lab: &'l Lab,
    repository: String,
    /// Kind (`manifests` or `blobs`), media type and bytes of each object, by digest.
    pub objects: BTreeMap<String, (&'static str, String, Vec<u8>)>,
    pub tags: BTreeMap<String, String>,
}

impl<'l> Package<'l> {
    /// Reads everything below some tags.
    pub fn new(lab: &'l Lab, repository: &str, tags: &[&str]) -> Self {
        let mut package = Self {
            lab,
            repository: repository.to_owned(),
            objects: BTreeMap::new(),
            tags: BTreeMap::new(),
        };
        for tag in tags {
            let (_, digest) = lab.manifest(repository, tag).unwrap();
            package.manifest(&digest);
            package.tags.insert((*tag).to_owned(), digest);
        }
        package
    }

    fn url(&self, rest: &str) -> String {
        format!("http://{}/v2/{}/{rest}", self.lab.registry(), self.repository)
    }

    fn manifest(&mut self, digest: &str) {
        let accept =
            ["index", "manifest"].map(|kind| format!("application/vnd.oci.image.{kind}.v1+json"));
        let answer = self.lab.agent.get(self.url(&format!("manifests/{digest}")));
        let mut answer = answer.header("accept", accept.join(",")).call().unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let bytes = answer.body_mut().read_to_vec().unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        self.objects.insert(digest.to_owned(), ("manifests", kind, bytes));
        for child in value["manifests"].as_array().into_iter().flatten() {
            self.manifest(child["digest"].as_str().unwrap());
        }
        let layers = value["layers"].as_array().into_iter().flatten();
        for blob in layers.chain(value.get("config")) {
            let digest = blob["digest"].as_str().unwrap().to_owned();
            let url = self.url(&format!("blobs/{digest}"));
            if !self.objects.contains_key(&digest) {
                let mut answer = self.lab.agent.get(url).call().unwrap();
                let bytes = answer.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
                self.objects.insert(digest, ("blobs", String::new(), bytes));
            }
        }
    }

    pub fn parsed(&self, digest: &str) -> Value {
        serde_json::from_slice(&self.objects[digest].2).unwrap()
    }

    pub fn delete(&self, digest: &str) {
        let kind = self.objects[digest].0;
        self.lab.agent.delete(self.url(&format!("{kind}/{digest}"))).call().unwrap();
    }

    /// Uploads bytes under a name, and returns their digest.
    pub fn put(&self, kind: &str, media_type: &str, name: Option<&str>, bytes: &[u8]) -> String {
        let digest = xtask::outside::registry::digest::sha256(bytes).unwrap().to_string();
        if kind == "blobs" {
            let begun = self.lab.agent.post(self.url("blobs/uploads/")).send_empty().unwrap();
            let place = begun.headers()["location"].to_str().unwrap();
            let url = format!("{place}&digest={digest}");
            let request =
                self.lab.agent.put(&url).header("content-type", "application/octet-stream");
            request.send(bytes).unwrap();
        } else {
            let url = self.url(&format!("manifests/{}", name.unwrap_or(&digest)));
            self.lab.agent.put(&url).header("content-type", media_type).send(bytes).unwrap();
        }
        digest
    }

    /// Restores everything.
    pub fn restore(&self) {
        for kind in ["blobs", "manifests", "manifests"] {
            for (digest, (own, media_type, bytes)) in &self.objects {
                let url = self.url(&format!("{own}/{digest}"));
                let is_there =
                    self.lab.agent.head(&url).header("accept", media_type).call().is_ok();
                // A second round for an index, which is refused while its children are missing.
                if *own == kind && !is_there {
                    if kind == "blobs" {
                        self.put(kind, media_type, None, bytes);
                    } else {
                        let url = self.url(&format!("manifests/{digest}"));
                        let _ =
                            self.lab.agent.put(&url).header("content-type", media_type).send(bytes);
                    }
                }
            }
        }
        for (tag, digest) in &self.tags {
            let (_, media_type, bytes) = &self.objects[digest];
            self.put("manifests", media_type, Some(tag), bytes);
        }
    }

    /// Publishes `dev` and its exact tag again, with a configuration changed by `change`.
    pub fn changed(&self, tags: &[&str], change: impl Fn(&mut Value)) {
        let index_digest = &self.tags["dev"];
        let mut index = self.parsed(index_digest);
        let image_digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
        let mut image = self.parsed(&image_digest);
        let mut configuration = self.parsed(image["config"]["digest"].as_str().unwrap());
        change(&mut configuration);
        let bytes = configuration.to_string().into_bytes();
        image["config"]["size"] = bytes.len().into();
        image["config"]["digest"] = self.put("blobs", "", None, &bytes).into();
        let bytes = image.to_string().into_bytes();
        let kind = &self.objects[&image_digest].1;
        index["manifests"][0]["size"] = bytes.len().into();
        index["manifests"][0]["digest"] = self.put("manifests", kind, None, &bytes).into();
        let bytes = index.to_string().into_bytes();
        for tag in tags {
            self.put("manifests", &self.objects[index_digest].1, Some(tag), &bytes);
        }
    }
}
