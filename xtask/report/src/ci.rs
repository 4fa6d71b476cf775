//! The plan of a workflow for people: each job with its lines, ready to be pasted, and what they get.

use std::fmt::Write;

use xtask_plan::ci::{CiPlan, Decision, Setting, Settings, StepPlan};

/// The whole plan as a script.
pub fn script(plan: &CiPlan) -> String {
    let mut text = format!(
        "# workflow: {}\n# event: {} at {}\n# commit: {}\n",
        plan.file, plan.told.event, plan.told.reference, plan.told.revision
    );
    for (name, value) in &plan.told.inputs {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = writeln!(text, "# input: {name}={}", super::one_line(&shown));
    }
    for job in &plan.jobs {
        let _ = writeln!(text, "\n# job: {}", job.job);
        match &job.decision {
            Decision::Skip(reason) => {
                let _ = writeln!(text, "# skipped: {reason}");
            }
            Decision::Run { condition: Some(condition), .. } => {
                let _ = writeln!(text, "# if: {condition}");
            }
            Decision::Run { .. } => {}
        }
        for (instance, steps) in job.instances() {
            if let Some(label) = &instance.label {
                let _ = writeln!(text, "# for: {label}");
            }
            for step in steps {
                self::step(&mut text, step);
            }
        }
    }
    text
}

fn step(text: &mut String, step: &StepPlan) {
    let _ = match step {
        StepPlan::Action { uses } => writeln!(text, "# action: {uses}"),
        StepPlan::Skip { reason } => writeln!(text, "# a step is skipped: {reason}"),
        StepPlan::Run { line, settings, .. } => {
            for (name, setting) in own(settings) {
                let _ = match setting {
                    Setting::Value(value) => {
                        writeln!(text, "# env: {name}={}", super::one_line(value))
                    }
                    Setting::Later(expression) => writeln!(text, "# env: {name}={expression}"),
                    Setting::Secret(source) => {
                        writeln!(text, "# env: {name} (a secret: `{source}` of this environment)")
                    }
                };
            }
            writeln!(text, "{line}")
        }
    };
}

/// What the workflow sets; what GitHub sets for every step is told at the top.
fn own(settings: &Settings) -> impl Iterator<Item = (&String, &Setting)> {
    settings.iter().filter(|(name, setting)| {
        let is_secret = matches!(setting, Setting::Secret(_));
        is_secret || !(name.starts_with("GITHUB_") || name.as_str() == "CI")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_line_shows_what_it_gets_and_never_a_secret() {
        let settings = BTreeMap::from([
            ("GITHUB_REF".to_owned(), Setting::Value("refs/heads/dev".to_owned())),
            ("GITHUB_TOKEN".to_owned(), Setting::Secret("GITHUB_TOKEN".to_owned())),
            ("SERVICE".to_owned(), Setting::Later("${{ matrix.service }}".to_owned())),
        ]);
        let mut text = String::new();
        let line = "cargo xtask push \"$SERVICE\"".to_owned();
        step(&mut text, &StepPlan::Run { line, words: Vec::new(), settings });
        expect_test::expect![[r#"
            # env: GITHUB_TOKEN (a secret: `GITHUB_TOKEN` of this environment)
            # env: SERVICE=${{ matrix.service }}
            cargo xtask push "$SERVICE"
        "#]]
        .assert_eq(&text);
    }
}
