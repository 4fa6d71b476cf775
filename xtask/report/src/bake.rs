//! The plan as a file for `docker buildx bake --file`. It builds the same images as our own commands.

use serde_json::{Map, Value, json};

use xtask_model::build::{BuildSpec, Provenance, secret};
use xtask_plan::build::ServicePlan;

/// A bake file with one target for each service, all in the group `default`. Bake has no second phase, so each
/// target contains the exports that our own commands make after the build.
pub fn bake<'p>(services: impl Iterator<Item = &'p ServicePlan>) -> Value {
    let targets: Map<String, Value> =
        services.map(|plan| (plan.service.to_string(), target(&plan.whole()))).collect();
    let names: Vec<&String> = targets.keys().collect();
    json!({ "group": { "default": { "targets": names } }, "target": targets })
}

fn target(spec: &BuildSpec) -> Value {
    let mut target = Map::new();
    let mut put = |key: &str, value: Value| {
        let empty = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(entries) => entries.is_empty(),
            _ => false,
        };
        if !empty {
            target.insert(key.to_owned(), literal(value));
        }
    };
    put("context", json!(spec.context));
    put("dockerfile", json!(below(&spec.context, &spec.dockerfile)));
    put("target", json!(spec.target));
    put("platforms", json!(spec.platforms));
    put("tags", json!(spec.output.tag().into_iter().collect::<Vec<_>>()));
    put("args", json!(spec.build_args));
    let secrets: Vec<String> = spec.secrets.iter().map(|(id, source)| secret(id, source)).collect();
    put("secret", json!(secrets));
    let context = |(name, image)| (name, json!(format!("docker-image://{image}")));
    let contexts: Vec<(&String, Value)> = spec.contexts.iter().map(context).collect();
    put("contexts", contexts.into_iter().map(|(name, value)| (name.clone(), value)).collect());
    put("labels", json!(spec.labels));
    let annotations = spec.annotations.iter();
    let annotations: Vec<_> =
        annotations.map(|(key, value)| format!("index:{key}={value}")).collect();
    put("annotations", json!(annotations));
    put("cache-from", json!(spec.cache_from));
    put("cache-to", json!(spec.cache_to));
    put("no-cache", if spec.no_cache { json!(true) } else { Value::Null });
    put("attest", json!(attestations(spec)));
    put("output", json!([spec.output.value(spec.created)]));
    Value::Object(target)
}

/// The path relative to the context, where bake looks for the Dockerfile.
fn below<'a>(context: &str, path: &'a str) -> &'a str {
    path.strip_prefix(context).map_or(path, |rest| rest.trim_start_matches('/'))
}

fn attestations(spec: &BuildSpec) -> Vec<&'static str> {
    let provenance = match spec.provenance {
        Provenance::None => "type=provenance,disabled=true",
        Provenance::Min => "type=provenance,mode=min",
        Provenance::Max => "type=provenance,mode=max",
    };
    let sbom = spec.sbom.then_some("type=sbom");
    std::iter::once(provenance).chain(sbom).collect()
}

/// Bake reads `${…}` and `%{…}` in strings as HCL templates; a doubled sign is literal.
fn literal(value: Value) -> Value {
    match value {
        Value::String(text) => json!(text.replace("${", "$${").replace("%{", "%%{")),
        Value::Array(items) => items.into_iter().map(literal).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key, literal(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use xtask_model::channel::Channel;
    use xtask_model::facts::Facts;
    use xtask_plan::build::{BuildOptions, plan};

    #[test]
    fn a_target_builds_and_exports_like_our_commands() {
        let images = "[workspace.metadata.images.services.web]\ndescription = 'Not ${bake}, %{if}'\n\
                      target = 'b'\nbuild-args = { V = '$1' }\n";
        let facts = crate::sample::facts(images, "FROM scratch AS b\n");
        let options = BuildOptions {
            channel: Some(Channel::Dev),
            only_shown: true,
            ..BuildOptions::default()
        };
        let plan = plan(&Facts { engine: xtask_model::facts::Engine::NoClient, ..facts }, &options);
        let file = bake(plan.unwrap().services.iter());
        expect![[r#"
            {
              "group": {
                "default": {
                  "targets": [
                    "web"
                  ]
                }
              },
              "target": {
                "web": {
                  "annotations": [
                    "index:org.opencontainers.image.created=2026-01-02T03:04:05Z",
                    "index:org.opencontainers.image.description=Not $${bake}, %%{if}",
                    "index:org.opencontainers.image.revision=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                    "index:org.opencontainers.image.source=https://github.com/o/r",
                    "index:org.opencontainers.image.title=web",
                    "index:org.opencontainers.image.version=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                  ],
                  "args": {
                    "V": "$1"
                  },
                  "attest": [
                    "type=provenance,mode=min"
                  ],
                  "cache-to": [
                    "type=inline",
                    "type=registry,ref=ghcr.io/o/r/web:cache,mode=max,image-manifest=true,oci-mediatypes=true,compression=zstd,ignore-error=true"
                  ],
                  "context": "services/web",
                  "dockerfile": "Dockerfile",
                  "labels": {
                    "org.opencontainers.image.created": "2026-01-02T03:04:05Z",
                    "org.opencontainers.image.description": "Not $${bake}, %%{if}",
                    "org.opencontainers.image.revision": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                    "org.opencontainers.image.source": "https://github.com/o/r",
                    "org.opencontainers.image.title": "web",
                    "org.opencontainers.image.version": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                  },
                  "output": [
                    "type=image,name=ghcr.io/o/r/web:dev-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,push=true,unpack=false,store=false,source-date-epoch=1767323045"
                  ],
                  "target": "b"
                }
              }
            }"#]].assert_eq(&serde_json::to_string_pretty(&file).unwrap());
    }
}
