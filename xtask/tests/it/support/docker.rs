//! A program on the PATH that stands in for docker: a build of it is done by the scripted registry, which stores
//! the image at once. So `push` and `release` run to their end without an engine.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use xtask::model::reference::Reference;

use super::scripted_registry::{Answer, Request, ScriptedRegistry};
use super::text;

/// Sends the arguments of a build to the registry, and writes its answer where buildx writes about an image.
const SCRIPT: &str = r#"#!/bin/bash
PATH=/usr/bin:/bin
case "$1 $2" in
'buildx version') echo github.com/docker/buildx 0.29.1 abc ;;
'buildx ls') echo '{"Name":"default","Driver":"docker","Current":true,"Nodes":[{"Name":"default","Status":"running"}]}' ;;
'buildx build')
    for argument; do case "$argument" in --metadata-file=*) metadata=${argument#*=} ;; esac; done
    [ -n "$metadata" ] || { echo '{"warnings":[]}'; exit; }
    words=$(printf '%s\n' "$@" | tr -cd '\n -~')
    exec 3<>/dev/tcp/127.0.0.1/PORT
    printf 'POST /build HTTP/1.1\r\nContent-Length: %s\r\n\r\n%s' ${#words} "$words" >&3
    answer=$(cat <&3)
    case "$answer" in 'HTTP/1.1 200 '*) ;; *) echo "ERROR: the build failed" >&2; exit 1 ;; esac
    printf '%s' "${answer#*$'\r\n\r\n'}" > "$metadata" ;;
esac
"#;

/// A folder for the PATH with a `docker` that builds at this registry.
pub fn folder(registry: &ScriptedRegistry) -> tempfile::TempDir {
    let builds = AtomicUsize::new(0);
    registry.hook(move |registry, request| {
        let is_build = request.path == "/build";
        is_build.then(|| build(registry, request, builds.fetch_add(1, Ordering::SeqCst)))
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("docker");
    let port = registry.address().rsplit_once(':').unwrap().1;
    std::fs::write(&file, SCRIPT.replace("PORT", port)).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Pushes an image that differs from that of every other build.
fn build(registry: &ScriptedRegistry, request: &Request, number: usize) -> Answer {
    let (words, number) = (text(&request.body), number.to_string());
    let labels = words.lines().filter_map(|word| word.strip_prefix("--label=")?.split_once('='));
    let mut labels: Vec<(&str, &str)> = labels.collect();
    labels.push(("build", &number));
    let output = words.lines().find_map(|word| word.strip_prefix("--output=type=image,name="));
    let body = match output.and_then(|output| output.split(',').next()) {
        // It only fills the cache.
        None => json!({}),
        Some(name) => {
            let Reference { repository, tag, .. } = Reference::normalized(name).unwrap();
            let digest = registry.add_image(repository.as_str(), &labels);
            registry.set_tag(repository.as_str(), tag.unwrap().as_str(), &digest);
            json!({ "containerimage.digest": digest })
        }
    };
    Answer { status: 200, body: body.to_string().into_bytes(), ..Answer::default() }
}
