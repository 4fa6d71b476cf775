//! What a benchmark measured.

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    /// `cargo xtask push`
    Push,
    /// `cargo xtask push --rebuild`
    Rebuild,
    /// `docker buildx build --push` with the flags of the seed document
    Seed,
    /// `docker buildx bake --push` from the file of our own plan
    Bake,
}

impl Contender {
    pub const ALL: [Self; 4] = [Self::Push, Self::Rebuild, Self::Seed, Self::Bake];

    pub fn label(self) -> &'static str {
        match self {
            Self::Push => "cargo xtask push",
            Self::Rebuild => "cargo xtask push --rebuild",
            Self::Seed => "docker buildx build --push, seed's flags",
            Self::Bake => "docker buildx bake --push, our plan",
        }
    }
}

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

/// What the engine has of earlier builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// Nothing, as on a CI runner.
    Emptied,
    /// Everything, as on a developer's machine.
    Warm,
}

impl Engine {
    pub fn label(self) -> &'static str {
        match self {
            Self::Emptied => "Emptied engine, as a CI runner has it",
            Self::Warm => "Warm engine, as a developer has it",
        }
    }
}

/// One measurement; bytes and requests are those that passed the registry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    pub seconds: f64,
    pub bytes: u64,
    pub requests: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    pub round: u32,
    pub engine: Engine,
    pub contender: Contender,
    pub scenario: Scenario,
    pub figures: Figures,
}
