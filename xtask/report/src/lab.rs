//! The lab's state, and the steps of `lab up`, as text.

use std::fmt::Write;

use xtask_model::lab::Status;
use xtask_plan::lab::LabPlan;

/// What `lab up` would do, with one step on each line.
pub fn plan(plan: &LabPlan) -> String {
    let mut text = format!("# engine: {} ({})\n", plan.engine(), plan.engine_reason);
    for step in &plan.steps {
        let _ = writeln!(text, "{} ({})", step.action, step.reason);
    }
    text
}

/// The parts of the lab: whether each runs, and where.
pub fn status(status: &Status) -> String {
    let state = |running: bool| if running { "up" } else { "down" };
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut text = String::new();
    let mut line = |name: &str, state: &str, detail: &str| {
        let _ = writeln!(text, "{}", format!("{name:<14} {state:<5} {detail}").trim_end());
    };
    let engine = &status.engine;
    let version = engine.version.as_deref().unwrap_or("");
    let kind = engine.kind.unwrap_or("-");
    line("engine", state(engine.running), format!("{kind} {version}").trim_end());
    line("", "", &shown(&engine.host));
    line("registry", state(status.registry.running), &shown(&status.registry.address));
    let servers = &status.servers;
    line("actions cache", state(servers.running), &shown(&servers.actions_cache));
    line("github api", state(servers.running), &shown(&servers.github_api));
    line("control", state(servers.running), &shown(&servers.front_control));
    for base in &status.bases {
        line("stand-in", "", &base.reference);
    }
    text
}
