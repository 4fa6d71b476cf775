//! The image that the benchmark publishes, and the command of each contender.

use serde_json::{Value, json};

/// A way to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    /// `cargo xtask push`, and `release`
    Push,
    /// `cargo xtask push --rebuild`, and `release --promote`
    Rebuild,
    /// `docker buildx build --push` with the flags of the seed document
    Seed,
    /// `docker buildx bake --push` from the file of our own plan
    Bake,
    /// `docker compose build --push`, with the same tiers in the compose file
    Compose,
}

impl Contender {
    pub const ALL: [Self; 5] = [Self::Push, Self::Rebuild, Self::Seed, Self::Bake, Self::Compose];

    /// Its command in a scenario.
    pub fn label(self, scenario: Scenario) -> &'static str {
        match (self, scenario) {
            (Self::Push, Scenario::Release) => "cargo xtask release",
            (Self::Push, _) => "cargo xtask push",
            (Self::Rebuild, Scenario::Release) => "cargo xtask release --promote",
            (Self::Rebuild, _) => "cargo xtask push --rebuild",
            (Self::Seed, _) => "docker buildx build --push, seed's flags",
            (Self::Bake, _) => "docker buildx bake --push, our plan",
            (Self::Compose, _) => "docker compose build --push",
        }
    }

    /// Whether it runs without xtask.
    pub fn is_other(self) -> bool {
        matches!(self, Self::Seed | Self::Bake | Self::Compose)
    }
}

/// What the engine contains from earlier builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineContent {
    /// Nothing, as on a CI runner.
    Emptied,
    /// Everything, as on a developer's machine.
    Warm,
}

impl EngineContent {
    pub fn label(self) -> &'static str {
        match self {
            Self::Emptied => "Emptied engine, as a CI runner has it",
            Self::Warm => "Warm engine, as a developer has it",
        }
    }
}

/// A contender that cannot run here, and why.
pub type Skipped = (Contender, String);

/// What changed since the last push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    Cold,
    Nothing,
    OneFile,
    Dependencies,
    Release,
}

impl Scenario {
    pub const ALL: [Self; 5] =
        [Self::Cold, Self::Nothing, Self::OneFile, Self::Dependencies, Self::Release];

    pub fn label(self) -> &'static str {
        match self {
            Self::Cold => "cold: nothing published",
            Self::Nothing => "nothing changed",
            Self::OneFile => "one file of 300 kB changed",
            Self::Dependencies => "dependencies changed",
            Self::Release => "release of a pushed commit",
        }
    }
}

/// One publication, which every contender performs with its own command.
#[derive(Debug, Clone, Copy)]
pub struct BenchPublication<'s> {
    /// `HOST:PORT/REPOSITORY` of the image.
    pub image: &'s str,
    /// The full hash of the commit.
    pub revision: &'s str,
    pub scenario: Scenario,
}

/// A command to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// Arguments of `xtask`.
    Own(Vec<String>),
    /// Arguments of `docker`.
    Docker(Vec<String>),
}

impl BenchPublication<'_> {
    /// The tags that the publication sets.
    pub fn tags(&self) -> Vec<String> {
        let tags = match self.scenario {
            Scenario::Release => {
                ["v0.1.0", self.revision, "0.1", "0", "latest"].map(str::to_owned).to_vec()
            }
            _ => vec![format!("dev-{}", self.revision), "dev".to_owned()],
        };
        tags.into_iter().map(|tag| format!("{}:{tag}", self.image)).collect()
    }

    /// The command of `contender`; `file` is its bake or compose file, if it has one.
    pub fn typed(&self, contender: Contender, file: &str) -> Typed {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let release = "release v0.1.0 --lab --quiet --create-tag --no-github-release";
        match (contender, self.scenario) {
            (Contender::Push, Scenario::Release) => Typed::Own(words(release)),
            (Contender::Push, _) => Typed::Own(words("push --lab --quiet")),
            (Contender::Rebuild, Scenario::Release) => {
                Typed::Own(words(&format!("{release} --promote")))
            }
            (Contender::Rebuild, _) => Typed::Own(words("push --lab --quiet --rebuild")),
            (Contender::Seed, _) => {
                let mut arguments = words("buildx build --push");
                arguments.extend(self.cache_from().map(|tier| format!("--cache-from={tier}")));
                arguments.push(format!("--cache-to={}", self.cache_to()));
                arguments.extend(self.tags().iter().map(|tag| format!("--tag={tag}")));
                arguments.push("services/web".to_owned());
                Typed::Docker(arguments)
            }
            (Contender::Bake, _) => {
                let mut arguments = words("buildx bake --push --allow=fs.read=*");
                arguments.push(format!("--file={file}"));
                Typed::Docker(arguments)
            }
            (Contender::Compose, _) => {
                Typed::Docker(words(&format!("compose --file={file} build --push")))
            }
        }
    }

    fn cache_from(&self) -> impl Iterator<Item = String> {
        ["cache", "dev", "latest"].into_iter().map(|tier| format!("{}:{tier}", self.image))
    }

    fn cache_to(&self) -> String {
        format!("type=registry,ref={}:cache,mode=max", self.image)
    }

    /// The compose file for it; `context` is the folder of the service.
    pub fn compose_file(&self, context: &str) -> Value {
        let tags = self.tags();
        let (image, more) = tags.split_first().map_or(("", &[][..]), |(f, more)| (f, more));
        json!({ "name": "bench", "services": { "web": { "image": image, "build": {
            "context": context,
            "cache_from": self.cache_from().collect::<Vec<_>>(),
            "cache_to": [self.cache_to()],
            "tags": more,
        } } } })
    }

    /// The bake file of a plan as people write it: `bake --push` chooses the output.
    pub fn bake_file(&self, mut plan: Value) -> Value {
        if let Some(target) = plan.pointer_mut("/target/web").and_then(Value::as_object_mut) {
            target.remove("output");
            target.insert("tags".to_owned(), self.tags().into());
        }
        plan
    }
}

/// A description of the image that [`dockerfile`] builds.
pub const IMAGE: &str = "a base of Debian, a layer as installed packages make one (twice the files of \
     Debian's own), a program of 20 MB from another stage and a file of 300 kB \
     behind `COPY --link`";

/// The Dockerfile of the published image; each id makes a different image. It contains real files, because
/// the cost of compressing, moving and unpacking a layer depends on its content. The copies are so far apart
/// that compression does not merge them.
pub fn dockerfile(id: &str) -> String {
    format!(
        "FROM debian:bookworm AS build\n\
         RUN {{ echo {id}; cat /usr/bin/* /usr/lib/*/*.so*; }} | head -c 20000000 > /built\n\
         FROM debian:bookworm\n\
         RUN mkdir /packages && echo {id} > /packages/id && \
         for copy in 1 2; do cp -r /usr /packages/$copy; done\n\
         COPY --link --from=build /built /built\nCOPY --link data /data\n"
    )
}

/// A description of the order of one round.
pub fn runs() -> Vec<String> {
    let mut runs = Vec::new();
    for engine in [EngineContent::Emptied, EngineContent::Warm] {
        for contender in Contender::ALL {
            for scenario in Scenario::ALL {
                let (typed, changed) = (contender.label(scenario), scenario.label());
                runs.push(format!("{}: {changed}: {typed}", engine.label()));
            }
        }
    }
    runs
}

/// Text that does not compress well; each salt makes a different text.
pub fn noise(salt: u64, count: usize) -> String {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b' ' + u8::try_from(state % 95).unwrap_or(0))
    };
    (0..count).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVISION: &str = "1111111111111111111111111111111111111111";

    fn subject(scenario: Scenario) -> BenchPublication<'static> {
        BenchPublication { image: "r:5/b/web", revision: REVISION, scenario }
    }

    #[test]
    fn contenders_publish_the_same_tags() {
        let typed = |contender, scenario| match subject(scenario).typed(contender, "F") {
            Typed::Own(words) => format!("xtask {}", words.join(" ")),
            Typed::Docker(words) => format!("docker {}", words.join(" ")).replace(REVISION, "SHA"),
        };
        let check = |contender, scenario, expected: &str| {
            assert_eq!(typed(contender, scenario), expected);
        };
        check(Contender::Push, Scenario::Nothing, "xtask push --lab --quiet");
        check(Contender::Rebuild, Scenario::Nothing, "xtask push --lab --quiet --rebuild");
        check(
            Contender::Seed,
            Scenario::Nothing,
            "docker buildx build --push --cache-from=r:5/b/web:cache --cache-from=r:5/b/web:dev \
             --cache-from=r:5/b/web:latest --cache-to=type=registry,ref=r:5/b/web:cache,mode=max \
             --tag=r:5/b/web:dev-SHA --tag=r:5/b/web:dev services/web",
        );
        check(Contender::Compose, Scenario::Nothing, "docker compose --file=F build --push");
        check(
            Contender::Rebuild,
            Scenario::Release,
            "xtask release v0.1.0 --lab --quiet --create-tag --no-github-release --promote",
        );
        let compose = subject(Scenario::Release).compose_file("/c");
        let web = &compose["services"]["web"];
        assert_eq!(web["image"], "r:5/b/web:v0.1.0");
        assert_eq!(web["build"]["tags"].as_array().unwrap().len(), 4);
        let plan = json!({"target": {"web": {"output": ["type=cacheonly"], "context": "c"}}});
        let bake = subject(Scenario::Nothing).bake_file(plan);
        let tags = [format!("r:5/b/web:dev-{REVISION}"), "r:5/b/web:dev".to_owned()];
        assert_eq!(bake, json!({"target": {"web": {"context": "c", "tags": tags}}}));
    }

    #[test]
    fn a_round_covers_every_contender_scenario_and_engine() {
        let runs = runs();
        assert_eq!(runs.len(), 2 * Contender::ALL.len() * Scenario::ALL.len());
        let first =
            "Emptied engine, as a CI runner has it: cold: nothing published: cargo xtask push";
        assert_eq!(runs.first().unwrap(), first);
    }

    #[test]
    fn each_salt_makes_its_own_noise() {
        assert_eq!(noise(3, 50), noise(3, 50));
        assert_ne!(noise(3, 50), noise(4, 50));
        assert_eq!(noise(3, 50).len(), 50);
    }
}
