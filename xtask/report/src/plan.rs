//! A build plan for people: a shell script to read, or to paste and run. Its comments give the reasons.

use std::fmt::Write;
use std::path::Path;

use xtask_model::config::SmokeTest;
use xtask_model::invocation::Invocation;
use xtask_plan::Choice;
use xtask_plan::build::{BuildPlan, ServicePlan};

/// Where the commands of a plan run.
pub struct ShellPlace<'p> {
    pub root: &'p Path,
    /// `DOCKER_HOST` of the lab's own engine.
    pub engine_host: Option<&'p str>,
}

impl ShellPlace<'_> {
    /// The lines that take a shell there.
    pub(super) fn enter(&self, text: &mut String) {
        let folder = Invocation::new("cd", [self.root.display().to_string()]);
        let _ = writeln!(text, "\n{folder}");
        if let Some(host) = self.engine_host {
            let variable = Invocation::new("export", [format!("DOCKER_HOST={host}")]);
            let _ = writeln!(text, "{variable}");
        }
    }
}

/// The whole plan as a script.
pub fn script(plan: &BuildPlan, place: &ShellPlace<'_>) -> String {
    let mut text = String::new();
    for choice in &plan.choices {
        comment(&mut text, choice);
    }
    for left_out in &plan.left_out {
        let _ = writeln!(text, "# left out: {} ({})", left_out.service, left_out.reason);
    }
    if !plan.services.is_empty() {
        place.enter(&mut text);
    }
    if let Some(create) = &plan.builder.create {
        let _ = writeln!(text, "\n{}", create.script());
    }
    for service in &plan.services {
        self::service(&mut text, service);
    }
    text
}

fn service(text: &mut String, plan: &ServicePlan) {
    text.push('\n');
    reasons(text, plan);
    build_command(text, plan);
    if let Some(contract) = &plan.smoke_test {
        smoke_test(text, plan, contract);
    }
    if plan.export(true).is_some() {
        export_command(text, plan);
    }
}

/// Why the build is as it is.
pub(super) fn reasons(text: &mut String, plan: &ServicePlan) {
    for choice in &plan.choices {
        comment(text, choice);
    }
    for tier in &plan.tiers {
        let _ = writeln!(text, "# cache from {}: {} ({})", tier.tier, tier.outcome, tier.reason);
    }
}

pub(super) fn build_command(text: &mut String, plan: &ServicePlan) {
    let _ = writeln!(text, "{}", plan.command.script());
}

/// The export of the cache that follows the build, with its condition.
pub(super) fn export_command(text: &mut String, plan: &ServicePlan) {
    let Some(export) = plan.export(true) else {
        text.push_str("# no tier to export to\n");
        return;
    };
    let condition = match plan.export(false) {
        Some(_) => {
            "after the build, to all tiers if it executed a step, otherwise to the empty ones"
        }
        None => "after the build, if it executed a step",
    };
    let _ = writeln!(text, "# {condition}:\n{}", export.invocation().script());
}

/// How the built image is started and what it must do. It is a comment, because waiting and asking is not one
/// command.
fn smoke_test(text: &mut String, plan: &ServicePlan, contract: &SmokeTest) {
    let image = plan.build.output.tag().unwrap_or("IMAGE");
    let start = contract.start(&format!("xtask-smoke-{}", plan.service), image);
    let limit = contract.timeout.as_secs();
    let _ = writeln!(text, "# smoke test: {start}");
    let _ = write!(text, "# smoke test: healthy within {limit} s");
    if let Some(port) = contract.port {
        let (path, status) = (&contract.path, contract.status);
        let _ = write!(text, ", port {port} answers `{path}` with {status}");
        if let Some(body) = &contract.body {
            let _ = write!(text, " and {body:?}");
        }
    }
    let limit = contract.stop_timeout.as_secs();
    let _ = writeln!(text, ", then stops within {limit} s");
}

pub(super) fn comment(text: &mut String, choice: &Choice) {
    let _ = writeln!(text, "# {}: {} ({})", choice.what, choice.value, choice.reason);
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use xtask_model::channel::Channel;
    use xtask_plan::build::{BuildOptions, Purpose, plan};

    #[test]
    fn a_script_shows_place_and_smoke_test() {
        let contract = "[workspace.metadata.images.services.web.smoke-test]\nport = 80\n\
                        path = '/health'\nbody = 'ok'\ncapabilities = ['CHOWN']\n";
        let facts = crate::sample::facts(contract, "FROM scratch\n");
        let options = BuildOptions {
            channel: Some(Channel::Local),
            purpose: Purpose::Test,
            ..BuildOptions::default()
        };
        let place =
            ShellPlace { root: Path::new("/home/a b"), engine_host: Some("unix:///run/lab.sock") };
        let text = script(&plan(&facts, &options).unwrap(), &place);
        let lines = text.lines().filter(|line| !line.contains("--label"));
        expect![[r#"
            # channel: local (named on the command line)
            # builder: the current one (every builder can do this)
            # repository: o/r (set in the configuration)

            cd '/home/a b'
            export DOCKER_HOST=unix:///run/lab.sock

            # service: web (every service is built)
            # platform: the builder's own (an image for this machine)
            # output: load r-web:local (the local channel loads the image into the engine)
            docker buildx build \
              --file=services/web/Dockerfile \
              --tag=r-web:local \
              --provenance=false \
              --output=type=docker,source-date-epoch=1767323045 services/web
            # smoke test: docker run --detach --cap-drop=ALL --security-opt=no-new-privileges --name=xtask-smoke-web --cap-add=CHOWN --publish=127.0.0.1::80 r-web:local
            # smoke test: healthy within 300 s, port 80 answers `/health` with 200 and "ok", then stops within 10 s"#]].assert_eq(&lines.collect::<Vec<_>>().join("\n"));
    }
}
