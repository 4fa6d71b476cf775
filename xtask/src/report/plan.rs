//! A build plan for people: a shell script whose comments give the reasons, so that it can be read,
//! or pasted and run.

use std::fmt::Write;

use crate::plan::Choice;
use crate::plan::build::{BuildPlan, ServicePlan};

/// The whole plan as a script.
pub fn script(plan: &BuildPlan) -> String {
    let mut text = String::new();
    for choice in &plan.choices {
        comment(&mut text, choice);
    }
    for left_out in &plan.left_out {
        let _ = writeln!(text, "# {} is left out: {}", left_out.service, left_out.reason);
    }
    if let Some(create) = &plan.builder.create {
        let _ = writeln!(text, "\n{}", create.script());
    }
    for service in &plan.services {
        self::service(&mut text, service);
    }
    text
}

pub(super) fn service(text: &mut String, plan: &ServicePlan) {
    text.push('\n');
    for choice in &plan.choices {
        comment(text, choice);
    }
    for tier in &plan.tiers {
        let _ = writeln!(text, "# cache from {}: {} ({})", tier.tier, tier.outcome, tier.reason);
    }
    let _ = writeln!(text, "{}", plan.command.script());
    if let Some(export) = plan.export(true) {
        let condition = match plan.export(false) {
            Some(_) => "then, with what is empty at once and the rest if a step was executed",
            None => "then, if a step was executed",
        };
        let _ = writeln!(text, "# {condition}:\n{}", export.invocation().script());
    }
}

fn comment(text: &mut String, choice: &Choice) {
    let _ = writeln!(text, "# {}: {} ({})", choice.what, choice.value, choice.reason);
}
