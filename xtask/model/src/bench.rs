//! What a benchmark compares, and what it measured.

use std::fmt;
use std::str::FromStr;

/// Who does it.
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

    /// What it types in a scenario.
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

    /// Whether it is something that people type without xtask.
    pub fn is_other(self) -> bool {
        matches!(self, Self::Seed | Self::Bake | Self::Compose)
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

/// What builds: a driver of buildx, and where it keeps images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    pub name: String,
    pub containerd_store: bool,
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

/// The rate of a link, as `tc` writes it: `100mbit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    text: String,
    pub bytes_per_second: u64,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected a rate such as 100mbit: a whole number and kbit, mbit or gbit";
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or(expected)?;
        let (number, unit) = text.split_at(digits);
        let bits = match unit {
            "kbit" => 1_000_u64,
            "mbit" => 1_000_000,
            "gbit" => 1_000_000_000,
            _ => return Err(expected.to_owned()),
        };
        let number: u64 = number.parse().map_err(|_| expected)?;
        let bytes_per_second = number.checked_mul(bits).map_or(0, |bits| bits / 8);
        if bytes_per_second == 0 {
            return Err(expected.to_owned());
        }
        Ok(Self { text: text.to_owned(), bytes_per_second })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_number_and_a_unit_of_bits() {
        let check = |text: &str, bytes: Option<u64>| {
            let parsed = text.parse::<Rate>().ok();
            assert_eq!(parsed.map(|rate| rate.bytes_per_second), bytes, "{text}");
        };
        check("100mbit", Some(12_500_000));
        check("8kbit", Some(1000));
        check("1gbit", Some(125_000_000));
        for bad in ["", "100", "mbit", "0mbit", "1.5mbit", "100 mbit", "100mbps", "-1mbit"] {
            check(bad, None);
        }
        check("99999999999999999999gbit", None);
        assert_eq!("100mbit".parse::<Rate>().unwrap().to_string(), "100mbit");
    }
}
