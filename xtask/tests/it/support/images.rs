//! Images made by hand and pushed to the lab's registry without an engine: small, of any age, and with every
//! part known by its digest. An engine pulls and runs them like others.

use serde_json::{Value, json};
use xtask::model::manifest::media_type::{OCI_CONFIGURATION, OCI_INDEX, OCI_MANIFEST};
use xtask::outside::registry::digest::sha256;

use super::lab::Lab;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// One repository at the lab's registry.
pub struct Images<'l> {
    pub lab: &'l Lab,
    /// `OWNER/REPO/SERVICE`.
    pub repository: String,
}

impl Images<'_> {
    /// An image of one platform with a layer for each content; returns its descriptor for an index.
    pub fn image(&self, created: &str, contents: &[&[u8]]) -> Value {
        let layers: Vec<Value> = contents
            .iter()
            .enumerate()
            .map(|(at, content)| self.blob(LAYER, &tar(&format!("file{at}"), content)))
            .collect();
        let digests: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
        let configuration = json!({
            "architecture": "amd64", "os": "linux", "created": created,
            "config": {}, "rootfs": { "type": "layers", "diff_ids": digests },
        });
        let configuration = self.blob(OCI_CONFIGURATION, configuration.to_string().as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": configuration, "layers": layers,
        });
        let mut descriptor = self.manifest(None, &manifest);
        descriptor["platform"] = json!({ "architecture": "amd64", "os": "linux" });
        descriptor
    }

    /// The attestation that `BuildKit` adds to an image. It has no time.
    pub fn attestation(&self, image: &Value) -> Value {
        let digest = image["digest"].as_str().unwrap();
        let layer = self.blob(IN_TOTO, format!("provenance of {digest}").as_bytes());
        let configuration = json!({
            "architecture": "unknown", "os": "unknown", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
        });
        let configuration = self.blob(OCI_CONFIGURATION, configuration.to_string().as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": configuration, "layers": [layer],
        });
        let mut descriptor = self.manifest(None, &manifest);
        descriptor["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        descriptor["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": digest,
        });
        descriptor
    }

    /// A signature as cosign pushes it, under a tag made from the digest of its subject.
    pub fn signature(&self, created: &str, subject: &Value) -> Value {
        let digest = subject["digest"].as_str().unwrap();
        let signed = self.image(created, &[format!("signature of {digest}").as_bytes()]);
        self.tag(&format!("{}.sig", digest.replace(':', "-")), &signed);
        signed
    }

    /// An artifact as ORAS and others push it since OCI 1.1: untagged, with a subject.
    pub fn referrer(&self, subject: &Value) -> Value {
        let text = format!("a bill of materials of {}", subject["digest"].as_str().unwrap());
        let mut named = subject.clone();
        named.as_object_mut().unwrap().remove("platform");
        self.manifest(
            None,
            &json!({
                "schemaVersion": 2, "mediaType": OCI_MANIFEST,
                "artifactType": "application/vnd.example.materials",
                "config": self.blob("application/vnd.oci.empty.v1+json", b"{}"),
                "layers": [self.blob("application/vnd.example.materials", text.as_bytes())],
                "subject": named,
            }),
        )
    }

    pub fn index(&self, tag: Option<&str>, created: &str, manifests: &[&Value]) -> Value {
        let index = json!({
            "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests,
            "annotations": { "org.opencontainers.image.created": created },
        });
        self.manifest(tag, &index)
    }

    /// The descriptor of a digest, as in an index.
    pub fn there(&self, digest: &str) -> Value {
        let (manifest, _) = self.lab.manifest(&self.repository, digest).unwrap();
        let size = self.bytes(digest).len();
        json!({ "mediaType": manifest["mediaType"], "digest": digest, "size": size })
    }

    /// Points a tag to a stored manifest.
    pub fn tag(&self, tag: &str, target: &Value) {
        let bytes = self.bytes(target["digest"].as_str().unwrap());
        self.put_manifest(tag, target["mediaType"].as_str().unwrap(), &bytes);
    }

    fn bytes(&self, digest: &str) -> Vec<u8> {
        let url = self.url(&format!("manifests/{digest}"));
        let answer =
            self.lab.agent.get(&url).header("accept", [OCI_INDEX, OCI_MANIFEST].join(",")).call();
        answer.unwrap().body_mut().read_to_vec().unwrap()
    }

    fn manifest(&self, tag: Option<&str>, manifest: &Value) -> Value {
        let (kind, bytes) =
            (manifest["mediaType"].as_str().unwrap(), manifest.to_string().into_bytes());
        let digest = sha256(&bytes).unwrap();
        self.put_manifest(tag.unwrap_or(digest.as_str()), kind, &bytes);
        json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
    }

    fn put_manifest(&self, name: &str, kind: &str, bytes: &[u8]) {
        let url = self.url(&format!("manifests/{name}"));
        let put = || self.lab.agent.put(&url).header("content-type", kind).send(bytes);
        // A kept connection may just have been closed; idempotent requests are sent again (RFC 9110, 9.2.2).
        put().or_else(|_| put()).unwrap();
    }

    fn blob(&self, kind: &str, bytes: &[u8]) -> Value {
        let digest = sha256(bytes).unwrap();
        let begun = self.lab.agent.post(self.url("blobs/uploads/")).send_empty().unwrap();
        let place = begun.headers()["location"].to_str().unwrap();
        let url = format!("{place}&digest={digest}");
        self.lab
            .agent
            .put(&url)
            .header("content-type", "application/octet-stream")
            .send(bytes)
            .unwrap();
        json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
    }

    fn url(&self, rest: &str) -> String {
        format!("http://{}/v2/{}/{rest}", self.lab.registry(), self.repository)
    }
}

/// An archive of one file (POSIX.1-1988, ustar).
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut head = [0; 512];
    let mut put =
        |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = [&head[..], content].concat();
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

/// Old images of two platforms with their attestations and one index each, in the form of GitHub's `made-up`
/// endpoint: five versions for each index, as large as those of real images.
pub fn made_up(repository: &str, indexes: usize) -> Vec<Value> {
    // One per minute.
    let version = |number: usize, manifest: &Value, tags: &[String]| {
        let (day, hour, minute) = (1 + number / 1440, number / 60 % 24, number % 60);
        let text = manifest.to_string();
        json!({
            "repository": repository, "digest": sha256(text.as_bytes()).unwrap(),
            "media_type": manifest["mediaType"], "manifest": text, "tags": tags,
            "created_at": format!("2025-01-{day:02}T{hour:02}:{minute:02}:00Z"),
        })
    };
    let blob = |kind: &str, name: String| json!({ "mediaType": kind, "digest": sha256(name.as_bytes()).unwrap(), "size": 1000 });
    let image = |name: String| {
        let layers: Vec<Value> =
            (0..12).map(|at| blob(LAYER, format!("layer {at} of {name}"))).collect();
        let configuration = blob(OCI_CONFIGURATION, format!("configuration of {name}"));
        json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": configuration, "layers": layers,
        })
    };
    let one = |number: usize| {
        let children: Vec<Value> =
            (0..4).map(|child| version(number, &image(format!("{number}/{child}")), &[])).collect();
        let entry = |child: &Value| {
            let size = child["manifest"].as_str().unwrap().len();
            json!({ "mediaType": OCI_MANIFEST, "digest": child["digest"], "size": size })
        };
        let entries: Vec<Value> = children.iter().map(entry).collect();
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
        let tags = [format!("dev-{number:040x}")];
        [children, vec![version(number, &index, &tags)]].concat()
    };
    (0..indexes).flat_map(one).collect()
}
