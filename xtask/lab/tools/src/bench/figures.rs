//! The measured figures, their medians, and their limits.

use super::subject::{Contender, EngineContent, Scenario};

/// The buildx driver that builds, and where it keeps images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    pub name: String,
    pub containerd_store: bool,
}

/// The figures of one run; the registry counts the bytes and requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    pub seconds: f64,
    pub bytes: u64,
    pub requests: u64,
}

/// One run and its figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    pub round: u32,
    pub engine: EngineContent,
    pub contender: Contender,
    pub scenario: Scenario,
    pub figures: Figures,
}

/// The middle value; 0 for none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The medians of one cell of the page; `None` when it was not measured.
pub fn cell(
    measured: &[Measured],
    engine: EngineContent,
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

/// A limit on an emptied engine of the `docker` driver, compared with one other contender.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    pub scenario: Scenario,
    /// The contender of xtask.
    pub contender: Contender,
    pub against: Contender,
    /// The percentage of the other's bytes that must be saved, and the measured one.
    pub percent: (f64, f64),
    /// How many times faster it must be, and how many times faster it is.
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

/// The limits that were measured.
pub fn limits(measured: &[Measured]) -> Vec<Limit> {
    let wanted = [
        (Scenario::Nothing, Contender::Rebuild, 99.9, 5.0),
        (Scenario::OneFile, Contender::Push, 99.0, 4.0),
    ];
    let mut limits = Vec::new();
    for (scenario, contender, percent, faster) in wanted {
        let of = |contender| cell(measured, EngineContent::Emptied, scenario, contender);
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

    fn measured(contender: Contender, scenario: Scenario, runs: &[(f64, u64)]) -> Vec<Measured> {
        let one = |(round, (seconds, bytes)): (u32, &(f64, u64))| {
            let figures = Figures { seconds: *seconds, bytes: *bytes, requests: bytes / 10 };
            Measured { round, engine: EngineContent::Emptied, contender, scenario, figures }
        };
        (0..).zip(runs).map(one).collect()
    }

    #[test]
    fn a_cell_is_the_median_of_rounds() {
        let mut all =
            measured(Contender::Push, Scenario::Nothing, &[(9.0, 10), (1.0, 30), (2.0, 20)]);
        all.extend(measured(Contender::Seed, Scenario::Nothing, &[(100.0, 1000)]));
        let figures =
            cell(&all, EngineContent::Emptied, Scenario::Nothing, Contender::Push).unwrap();
        assert_eq!(figures, Figures { seconds: 2.0, bytes: 20, requests: 2 });
        assert_eq!(cell(&all, EngineContent::Warm, Scenario::Nothing, Contender::Push), None);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }

    #[test]
    fn bytes_and_time_meet_a_limit_separately() {
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
}
