//! `cargo xtask verify --lab` on a package that BuildKit published, whole and with one damage at a time;
//! and `doctor` where something stands in a build's way.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells its figures"
)]

mod support;
#[path = "support/lab.rs"]
mod the_lab;

use std::collections::BTreeMap;

use serde_json::Value;
use support::Fixture;
use the_lab::Lab;

const LIMITS: &str = "size-limit = \"100MB\"\n";

/// A service that was pushed twice, so that there is an image to compare with.
fn published() -> (Fixture, Lab) {
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

/// What `verify` finds worth a look, as `level subject check: detail`.
fn findings(fixture: &Fixture, more: &[&str]) -> Vec<String> {
    let found = fixture.xtask(&[&["verify", "--lab", "--format=json"], more].concat()).json();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let list = found.as_array().unwrap().iter();
    list.filter(|finding| !matches!(finding["level"].as_str(), Some("pass" | "skip")))
        // What the builds before had in the cache is no matter of the package.
        .filter(|finding| finding["check"] != "hit rate")
        .map(|finding| {
            let [level, subject, check, detail] =
                ["level", "subject", "check", "detail"].map(|name| text(finding, name));
            format!("{level} {subject} {check}: {detail}")
        })
        .collect()
}

/// One repository at the registry, which can be damaged and restored.
struct Package<'l> {
    lab: &'l Lab,
    repository: String,
    /// Kind (`manifests` or `blobs`), media type and bytes of all there is, by digest.
    objects: BTreeMap<String, (&'static str, String, Vec<u8>)>,
    tags: BTreeMap<String, String>,
}

impl<'l> Package<'l> {
    /// Reads everything below some tags.
    fn new(lab: &'l Lab, repository: &str, tags: &[&str]) -> Self {
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

    fn parsed(&self, digest: &str) -> Value {
        serde_json::from_slice(&self.objects[digest].2).unwrap()
    }

    fn delete(&self, digest: &str) {
        let kind = self.objects[digest].0;
        self.lab.agent.delete(self.url(&format!("{kind}/{digest}"))).call().unwrap();
    }

    /// Puts bytes under a name, and returns their digest.
    fn put(&self, kind: &str, media_type: &str, name: Option<&str>, bytes: &[u8]) -> String {
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

    /// Everything as it was.
    fn restore(&self) {
        for kind in ["blobs", "manifests", "manifests"] {
            for (digest, (own, media_type, bytes)) in &self.objects {
                let url = self.url(&format!("{own}/{digest}"));
                let is_there =
                    self.lab.agent.head(&url).header("accept", media_type).call().is_ok();
                // A second round for an index, which is refused before its children are there.
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

    /// Publishes `dev` and its exact tag anew, with a configuration that `change` has changed.
    fn changed(&self, tags: &[&str], change: impl Fn(&mut Value)) {
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

/// A kind of damage, what is done for it, and what must be found.
type Damage<'d> = (&'static str, Box<dyn Fn() + 'd>, &'static str);

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn every_kind_of_damage_is_found_named_and_told_apart() {
    let (fixture, lab) = published();
    let repository = format!("{}/web", fixture.repository);
    let head = fixture.git(&["rev-parse", "HEAD"]);
    let before = fixture.git(&["rev-parse", "HEAD~1"]);
    let (exact, old) = (format!("dev-{head}"), format!("dev-{before}"));
    let package = Package::new(&lab, &repository, &["dev", "cache", &exact, &old]);
    assert_eq!(findings(&fixture, &[]), [] as [&str; 0], "a clean set gives no finding");

    let index = package.parsed(&package.tags["dev"]);
    let text = |value: &Value| value["digest"].as_str().unwrap().to_owned();
    let (image, attestation) = (text(&index["manifests"][0]), text(&index["manifests"][1]));
    let manifest = package.parsed(&image);
    let layers = manifest["layers"].as_array().unwrap();
    let statement = text(&package.parsed(&attestation)["layers"][0]);
    let cache = package.parsed(&package.tags["cache"]);
    let in_image: Vec<String> = layers.iter().map(&text).collect();
    let cached = cache["layers"].as_array().unwrap().iter().map(&text);
    let only_cached = cached.into_iter().find(|digest| !in_image.contains(digest)).unwrap();
    let exact = exact.as_str();
    let revision = "org.opencontainers.image.revision";

    let damages: Vec<Damage<'_>> = vec![
        ("manifest child", Box::new(|| package.delete(&image)), "the platform's manifest"),
        (
            "configuration",
            Box::new(|| package.delete(&text(&manifest["config"]))),
            "the configuration",
        ),
        ("layer", Box::new(|| package.delete(&text(layers.last().unwrap()))), "the layer"),
        ("attestation", Box::new(|| package.delete(&attestation)), "the attestation "),
        ("statement", Box::new(|| package.delete(&statement)), "the attestation's statement"),
        (
            "cache configuration",
            Box::new(|| package.delete(&text(&cache["config"]))),
            "the cache configuration",
        ),
        (
            "cache manifest",
            Box::new(|| package.delete(&package.tags["cache"])),
            "nothing is published there",
        ),
        (
            "cache replaced by an image",
            Box::new(|| {
                let (_, kind, bytes) = &package.objects[&image];
                package.put("manifests", kind, Some("cache"), bytes);
            }),
            "an image stands where the cache should be",
        ),
        (
            "tag moved",
            Box::new(|| {
                let (_, kind, bytes) = &package.objects[&package.tags[&old]];
                package.put("manifests", kind, Some("dev"), bytes);
            }),
            "`dev` is older than",
        ),
        (
            "exact tag moved",
            Box::new(|| {
                let (_, kind, bytes) = &package.objects[&package.tags[&old]];
                package.put("manifests", kind, Some(exact), bytes);
            }),
            "it is not the image of `dev-",
        ),
        (
            "label wrong",
            Box::new(|| {
                package.changed(&["dev", exact], |value| {
                    value["config"]["Labels"][revision] = "x".into();
                });
            }),
            "the label says x",
        ),
        (
            "wrong platform",
            Box::new(|| {
                package.changed(&["dev", exact], |value| value["architecture"] = "riscv64".into());
            }),
            "and the image is for linux/riscv64",
        ),
        ("cache layer", Box::new(|| package.delete(&only_cached)), "the cache layer"),
        ("dev gone", Box::new(|| package.delete(&package.tags["dev"])), "`dev` is not published"),
    ];
    tell_apart(&fixture, &package, &damages);
    fixture.configure("size-limit = \"1MB\"\n");
    fixture.commit("smaller");
    let said = findings(&fixture, &[]);
    assert!(said.iter().any(|line| line.contains("more than 1.00 MB")), "oversized: {said:#?}");
    println!("{0} kinds tried, {0} found, 0 false alarms", damages.len() + 1);
}

/// Each damage is found and named as itself, and once it is mended there is nothing to find.
fn tell_apart(fixture: &Fixture, package: &Package<'_>, damages: &[Damage<'_>]) {
    for (kind, damage, expected) in damages {
        damage();
        let said = findings(fixture, &[]);
        assert!(said.iter().any(|line| line.contains(expected)), "{kind}: {said:#?}");
        // Nothing else that was damaged before or after may be named.
        let others = damages.iter().filter(|(other, ..)| other != kind);
        for (other, _, words) in others.filter(|(_, _, words)| !expected.contains(words.trim())) {
            let named = said.iter().any(|line| line.contains(words));
            // A configuration that is gone takes the import of the cache with it.
            assert!(!named || follows(kind, other), "{kind} was taken for {other}: {said:#?}");
        }
        package.restore();
        assert_eq!(findings(fixture, &[]), [] as [&str; 0], "{kind} was mended");
    }
}

/// Damages of which one brings the other: the cache has the layers of the image too.
fn follows(kind: &str, other: &str) -> bool {
    matches!((kind, other), ("layer", "cache layer"))
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn both_services_are_verified_in_at_most_80_requests() {
    let fixture = Fixture::unpublished();
    for service in ["web", "worker"] {
        let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        fixture.service(
            service,
            &format!(
                "FROM debian:bookworm AS build\nRUN echo {seed} > /made\nFROM debian:bookworm\n\
                 RUN echo {seed} > /x\nRUN echo 2 > /y\nCOPY --link --from=build /made /made\n"
            ),
        );
    }
    fixture.commit("feat: both");
    let lab = Lab::up(&fixture);
    fixture.xtask(&["push", "--lab"]).expect(0);
    fixture.xtask(&["release", "v0.1.0", "--lab", "--create-tag", "--no-github-release"]).expect(0);
    lab.reset();
    let begun = std::time::Instant::now();
    fixture.xtask(&["verify", "--lab", "--quiet"]).expect(0);
    let seconds = begun.elapsed().as_secs_f64();
    let requests = lab.requests();
    let paths = requests.iter().filter(|request| request["method"] == "GET");
    let paths: Vec<&str> = paths.filter_map(|request| request["path"].as_str()).collect();
    let bodies = paths.iter().filter(|path| !path.ends_with("/tags/list?n=1000"));
    let mut seen = std::collections::BTreeSet::new();
    let twice: Vec<_> = bodies.filter(|path| !seen.insert(**path)).collect();
    println!("{} requests, {seconds:.2} s", requests.len());
    assert!(requests.len() <= 80, "{} requests: {paths:#?}", requests.len());
    assert!(twice.is_empty(), "read twice: {twice:?}");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn a_published_image_is_started_by_its_digest() {
    let (fixture, lab) = published();
    lab.empty_engine();
    let said = findings(&fixture, &["--smoke"]);
    assert!(said.iter().any(|line| line.contains("smoke") && line.contains("exited")), "{said:#?}");
    fixture.service(
        "web",
        "FROM debian:bookworm\nUSER 1000:1000\nSTOPSIGNAL SIGKILL\nCMD [\"sleep\", \"60\"]\n\
         HEALTHCHECK --interval=1s CMD [\"true\"]\n",
    );
    fixture.commit("fix: it stays");
    fixture.xtask(&["push", "--lab"]).expect(0);
    let said = findings(&fixture, &["--smoke"]);
    assert!(!said.iter().any(|line| line.contains("smoke")), "{said:#?}");
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn no_control_sequence_of_a_label_reaches_the_terminal() {
    let (fixture, lab) = published();
    let repository = format!("{}/web", fixture.repository);
    let package = Package::new(&lab, &repository, &["dev"]);
    package.changed(&["dev"], |value| {
        value["config"]["Labels"]["org.opencontainers.image.revision"] = "\u{1b}[2J\u{7}x".into();
    });
    let shown = fixture.xtask(&["verify", "--lab"]);
    assert!(shown.stdout.contains("the label says"), "{}", shown.stdout);
    let control = shown.stdout.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "{:?}", shown.stdout);
}
