//! One `docker buildx build` as data: what it builds, from which caches, and where the result goes. It
//! prints itself as a command line; `report::bake` prints it as a bake target. It makes no decision.

use std::collections::BTreeMap;

use serde::Serialize;

use super::config::SecretSource;
use super::invocation::Invocation;
use super::platform::Platform;
use super::reference::Reference;

/// Everything that the command line of `docker buildx build` contains.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BuildSpec {
    /// `--builder`; `None` leaves the choice to buildx.
    pub builder: Option<String>,
    /// The build context, relative to the root.
    pub context: String,
    /// The Dockerfile, relative to the root.
    pub dockerfile: String,
    pub target: Option<String>,
    /// Empty means the builder's own platform.
    pub platforms: Vec<Platform>,
    pub build_args: BTreeMap<String, String>,
    /// The time in the image's configuration, in seconds since 1970. It is an attribute of the output. The
    /// build argument `SOURCE_DATE_EPOCH` would set it too, but it also changes each `WORKDIR` step
    /// (moby/buildkit#5960), so that every commit would miss the cache from there on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    pub secrets: BTreeMap<String, SecretSource>,
    /// Images that replace base images, by the name of the base.
    pub contexts: BTreeMap<String, Reference>,
    pub labels: BTreeMap<String, String>,
    /// Annotations of the index.
    pub annotations: BTreeMap<String, String>,
    /// Values of `--cache-from`, in order.
    pub cache_from: Vec<String>,
    /// Values of `--cache-to`.
    pub cache_to: Vec<String>,
    pub no_cache: bool,
    pub provenance: Provenance,
    pub sbom: bool,
    pub output: Output,
}

/// How much of the build the provenance attestation contains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    #[default]
    None,
    Min,
    Max,
}

/// Where the result goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "to")]
pub enum Output {
    /// Into the engine, with or without a name.
    Load { tag: Option<String> },
    /// Nowhere: only the builder's cache keeps it.
    #[default]
    CacheOnly,
    /// To a registry. With `lazy`, the `docker` driver does not download and unpack layers that
    /// it only passes on. The other drivers never do.
    Push {
        reference: Reference,
        #[serde(rename = "told_to_be_lazy")]
        lazy: bool,
    },
}

impl Output {
    /// The value of `--output`; `created` is the time in the image's configuration.
    pub fn value(&self, created: Option<u64>) -> String {
        let created = created.map(|time| format!(",source-date-epoch={time}")).unwrap_or_default();
        match self {
            Self::Load { .. } => format!("type=docker{created}"),
            Self::CacheOnly => "type=cacheonly".to_owned(),
            Self::Push { reference, lazy } => {
                let lazy = if *lazy { ",unpack=false,store=false" } else { "" };
                format!("type=image,name={reference},push=true{lazy}{created}")
            }
        }
    }

    /// The name of a loaded image.
    pub fn tag(&self) -> Option<&str> {
        match self {
            Self::Load { tag } => tag.as_deref(),
            _ => None,
        }
    }
}

impl BuildSpec {
    /// The command, which runs in the root folder.
    pub fn invocation(&self) -> Invocation {
        let mut arguments = self.of_dockerfile();
        if !self.platforms.is_empty() {
            let platforms: Vec<_> = self.platforms.iter().map(Platform::as_str).collect();
            arguments.each("--platform", [platforms.join(",")]);
        }
        arguments.each("--tag", self.output.tag());
        arguments.each("--secret", self.secrets.iter().map(|(id, source)| secret(id, source)));
        arguments.pairs("--label", &self.labels);
        let annotation = |(key, value)| format!("index:{key}={value}");
        arguments.each("--annotation", self.annotations.iter().map(annotation));
        if self.no_cache {
            arguments.0.push("--no-cache".to_owned());
        }
        arguments.each("--cache-from", &self.cache_from);
        arguments.each("--cache-to", &self.cache_to);
        let provenance = match self.provenance {
            Provenance::None => "false",
            Provenance::Min => "mode=min",
            Provenance::Max => "mode=max",
        };
        arguments.each("--provenance", [provenance]);
        if self.sbom {
            arguments.each("--sbom", ["true"]);
        }
        arguments.each("--output", [self.output.value(self.created)]);
        arguments.0.push(self.context.clone());
        Invocation::new("docker", arguments.0)
    }

    /// The command that runs BuildKit's own checks of the Dockerfile instead of building it.
    pub fn check_invocation(&self) -> Invocation {
        let mut arguments = self.of_dockerfile();
        arguments.each("--call", ["check,format=json"]);
        arguments.0.push(self.context.clone());
        Invocation::new("docker", arguments.0)
    }

    /// The arguments that decide how BuildKit reads the Dockerfile.
    fn of_dockerfile(&self) -> Arguments {
        let mut arguments = Arguments(vec!["buildx".to_owned(), "build".to_owned()]);
        arguments.each("--builder", self.builder.iter());
        arguments.each("--file", [&self.dockerfile]);
        arguments.each("--target", self.target.iter());
        arguments.pairs("--build-arg", &self.build_args);
        let context =
            |(name, image): (&String, &Reference)| format!("{name}=docker-image://{image}");
        arguments.each("--build-context", self.contexts.iter().map(context));
        arguments
    }
}

/// The value of `--secret`. It names the source of the secret and never contains the secret.
pub fn secret(id: &str, source: &SecretSource) -> String {
    match source {
        SecretSource::Env(name) => format!("id={id},env={name}"),
        SecretSource::File(path) => format!("id={id},src={path}"),
    }
}

/// A growing list of arguments.
struct Arguments(Vec<String>);

impl Arguments {
    fn each<S: Into<String>>(&mut self, flag: &str, values: impl IntoIterator<Item = S>) {
        for value in values {
            // One argument, so that a value with a leading dash is not read as a flag.
            self.0.push(format!("{flag}={}", value.into()));
        }
    }

    fn pairs(&mut self, flag: &str, pairs: &BTreeMap<String, String>) {
        self.each(flag, pairs.iter().map(|(name, value)| format!("{name}={value}")));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::reference::Tag;

    fn full() -> BuildSpec {
        let pairs = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let image = Reference::normalized("127.0.0.1:5000/o/r/web").unwrap();
        BuildSpec {
            builder: Some("ours".to_owned()),
            context: "services/web".to_owned(),
            dockerfile: "services/web/Dockerfile".to_owned(),
            target: Some("final".to_owned()),
            platforms: ["linux/amd64", "linux/arm64"].map(|p| Platform::new(p).unwrap()).to_vec(),
            build_args: pairs("VERSION", "1, 2"),
            created: Some(7),
            secrets: BTreeMap::from([
                ("npm".to_owned(), SecretSource::Env("NPM".to_owned())),
                ("pem".to_owned(), SecretSource::File("key.pem".to_owned())),
            ]),
            contexts: BTreeMap::from([("debian:12".to_owned(), image.clone())]),
            labels: pairs("title", "a web"),
            annotations: pairs("title", "a web"),
            cache_from: vec!["type=registry,ref=a".to_owned(), "type=gha".to_owned()],
            cache_to: vec!["type=inline".to_owned()],
            no_cache: true,
            provenance: Provenance::Max,
            sbom: true,
            output: Output::Push {
                reference: image.with_tag(Tag::new("dev").unwrap()),
                lazy: true,
            },
        }
    }

    #[test]
    fn each_part_is_one_argument() {
        expect![[r"
            docker buildx build \
              --builder=ours \
              --file=services/web/Dockerfile \
              --target=final \
              '--build-arg=VERSION=1, 2' \
              --build-context=debian:12=docker-image://127.0.0.1:5000/o/r/web \
              --platform=linux/amd64,linux/arm64 \
              --secret=id=npm,env=NPM \
              --secret=id=pem,src=key.pem \
              '--label=title=a web' \
              '--annotation=index:title=a web' \
              --no-cache \
              --cache-from=type=registry,ref=a \
              --cache-from=type=gha \
              --cache-to=type=inline \
              --provenance=mode=max \
              --sbom=true \
              --output=type=image,name=127.0.0.1:5000/o/r/web:dev,push=true,unpack=false,store=false,source-date-epoch=7 services/web"]].assert_eq(&full().invocation().script());
    }

    #[test]
    fn a_check_reads_the_dockerfile_like_a_build() {
        expect![[r"
            docker buildx build \
              --builder=ours \
              --file=services/web/Dockerfile \
              --target=final \
              '--build-arg=VERSION=1, 2' \
              --build-context=debian:12=docker-image://127.0.0.1:5000/o/r/web \
              --call=check,format=json services/web"]]
        .assert_eq(&full().check_invocation().script());
    }

    #[test]
    fn a_loaded_image_may_have_no_name() {
        let load = |tag: Option<&str>| {
            let output = Output::Load { tag: tag.map(str::to_owned) };
            BuildSpec { output, ..BuildSpec::default() }.invocation().to_string()
        };
        assert_eq!(
            load(Some("r-web:local")),
            "docker buildx build --file= --tag=r-web:local --provenance=false --output=type=docker ''"
        );
        assert!(!load(None).contains("--tag"));
    }
}
