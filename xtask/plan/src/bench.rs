//! What each contender of a benchmark types, the image that it publishes, and what the figures come to.

use serde_json::{Value, json};

use xtask_model::bench::{Contender, Engine, Figures, Measured, Scenario};

/// One publication that every contender does in its own way.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'s> {
    /// `HOST:PORT/REPOSITORY` of the image.
    pub image: &'s str,
    /// The full hash of the commit.
    pub revision: &'s str,
    pub scenario: Scenario,
}

/// What is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// Arguments of our own command.
    Own(Vec<String>),
    /// Arguments of `docker`.
    Docker(Vec<String>),
}

impl Subject<'_> {
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

    /// What `contender` types; `file` is the bake or the compose file, where it has one.
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

    /// A compose file for it; `context` is the path of the service's folder.
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

    /// A plan's bake file as people have it: `bake --push` chooses the output.
    pub fn bake_file(&self, mut plan: Value) -> Value {
        if let Some(target) = plan.pointer_mut("/target/web").and_then(Value::as_object_mut) {
            target.remove("output");
            target.insert("tags".to_owned(), self.tags().into());
        }
        plan
    }
}

/// What [`dockerfile`] builds, in words.
pub const IMAGE: &str = "a base of Debian, a layer as installed packages make one (twice the files of \
     Debian's own), a program of 20 MB from another stage and a file of 300 kB \
     behind `COPY --link`";

/// The image that is published, another one for each id. What a layer weighs to compress, move and unpack
/// depends on what is in it; so it holds real files, each copy further from the last than a compressor looks
/// back.
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

/// The order of one round, in words.
pub fn runs() -> Vec<String> {
    let mut runs = Vec::new();
    for engine in [Engine::Emptied, Engine::Warm] {
        for contender in Contender::ALL {
            for scenario in Scenario::ALL {
                let (typed, changed) = (contender.label(scenario), scenario.label());
                runs.push(format!("{}: {changed}: {typed}", engine.label()));
            }
        }
    }
    runs
}

/// Text that does not compress well, another one for each salt.
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

/// The middle value; 0 for none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The medians of one cell; `None` when it was not measured.
pub fn cell(
    measured: &[Measured],
    engine: Engine,
    scenario: Scenario,
    contender: Contender,
) -> Option<Figures> {
    let is_in =
        |m: &&Measured| (m.engine, m.scenario, m.contender) == (engine, scenario, contender);
    let cell: Vec<Figures> = measured.iter().filter(is_in).map(|m| m.figures).collect();
    let middle = |value: fn(&Figures) -> u64| {
        let mut values: Vec<u64> = cell.iter().map(value).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied()
    };
    Some(Figures {
        seconds: median(cell.iter().map(|figures| figures.seconds).collect()),
        bytes: middle(|figures| figures.bytes)?,
        requests: middle(|figures| figures.requests)?,
    })
}

/// What must hold on an emptied engine of the `docker` driver, against one other contender.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    pub scenario: Scenario,
    /// Ours.
    pub contender: Contender,
    pub against: Contender,
    /// Percent of the other's bytes that must not move, and that did not.
    pub percent: (f64, f64),
    /// How many times faster it must be, and was.
    pub faster: (f64, f64),
}

impl Limit {
    pub fn fewer(&self) -> bool {
        self.percent.1 >= self.percent.0
    }

    pub fn is_fast(&self) -> bool {
        self.faster.1 >= self.faster.0
    }
}

/// The limits, as far as they were measured.
pub fn limits(measured: &[Measured]) -> Vec<Limit> {
    let wanted = [
        (Scenario::Nothing, Contender::Rebuild, 99.9, 5.0),
        (Scenario::OneFile, Contender::Push, 99.0, 4.0),
    ];
    let mut limits = Vec::new();
    for (scenario, contender, percent, faster) in wanted {
        let of = |contender| cell(measured, Engine::Emptied, scenario, contender);
        let Some(ours) = of(contender) else { continue };
        for against in Contender::ALL.into_iter().filter(|other| other.is_other()) {
            let Some(other) = of(against) else { continue };
            #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
            let share = 100.0 - 100.0 * ours.bytes as f64 / other.bytes as f64;
            let times = other.seconds / ours.seconds;
            let (percent, faster) = ((percent, share), (faster, times));
            limits.push(Limit { scenario, contender, against, percent, faster });
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVISION: &str = "1111111111111111111111111111111111111111";

    fn subject(scenario: Scenario) -> Subject<'static> {
        Subject { image: "r:5/b/web", revision: REVISION, scenario }
    }

    #[test]
    fn each_contender_publishes_the_same_tags_from_the_same_tiers() {
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

    fn measured(contender: Contender, scenario: Scenario, runs: &[(f64, u64)]) -> Vec<Measured> {
        let one = |(round, (seconds, bytes)): (u32, &(f64, u64))| {
            let figures = Figures { seconds: *seconds, bytes: *bytes, requests: bytes / 10 };
            Measured { round, engine: Engine::Emptied, contender, scenario, figures }
        };
        (0..).zip(runs).map(one).collect()
    }

    #[test]
    fn a_cell_is_the_middle_of_its_rounds_and_of_nothing_else() {
        let mut all =
            measured(Contender::Push, Scenario::Nothing, &[(9.0, 10), (1.0, 30), (2.0, 20)]);
        all.extend(measured(Contender::Seed, Scenario::Nothing, &[(100.0, 1000)]));
        let figures = cell(&all, Engine::Emptied, Scenario::Nothing, Contender::Push).unwrap();
        assert_eq!(figures, Figures { seconds: 2.0, bytes: 20, requests: 2 });
        assert_eq!(cell(&all, Engine::Warm, Scenario::Nothing, Contender::Push), None);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }

    #[test]
    fn a_limit_is_met_by_bytes_and_by_time_each_for_itself() {
        let of =
            |contender, seconds, bytes| measured(contender, Scenario::Nothing, &[(seconds, bytes)]);
        let all = [
            of(Contender::Rebuild, 1.0, 100),
            of(Contender::Seed, 5.0, 100_000),
            of(Contender::Bake, 4.9, 99_000),
        ]
        .concat();
        let shown: Vec<_> = limits(&all)
            .iter()
            .map(|limit| (limit.against, limit.fewer(), limit.is_fast()))
            .collect();
        // Compose and the changed file were not measured.
        assert_eq!(shown, [(Contender::Seed, true, true), (Contender::Bake, false, false)]);
    }

    #[test]
    fn every_contender_meets_every_scenario_on_both_engines() {
        let runs = runs();
        assert_eq!(runs.len(), 2 * Contender::ALL.len() * Scenario::ALL.len());
        let first =
            "Emptied engine, as a CI runner has it: cold: nothing published: cargo xtask push";
        assert_eq!(runs.first().unwrap(), first);
    }

    #[test]
    fn noise_is_the_same_for_the_same_salt_only() {
        assert_eq!(noise(3, 50), noise(3, 50));
        assert_ne!(noise(3, 50), noise(4, 50));
        assert_eq!(noise(3, 50).len(), 50);
    }
}
