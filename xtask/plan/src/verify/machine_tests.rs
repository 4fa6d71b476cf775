//! Tests of the findings about this machine.

use super::*;
use crate::verify::sample::facts;
use xtask_model::facts::{BuilderNode, GitHubJob};
use xtask_model::tier::TierLook;

fn probes() -> Probes {
    let disk = Disk { folder: "/d".to_owned(), free: 50_000_000_000, used_percent: 40 };
    let pushes = vec![("web".parse().unwrap(), PushProbe::Allowed)];
    Probes { disk: Some(disk), pushes, clock_ahead: Some(-3) }
}

/// The finding of one check, as `level: detail → remedy · hint`.
#[track_caller]
fn check(change: impl FnOnce(&mut Facts, &mut Probes), about: &str, expected: &str) {
    let (mut facts, mut probes) = (facts(""), probes());
    change(&mut facts, &mut probes);
    let found = machine(&facts, &probes, None);
    let one = found.iter().find(|one| one.check == about);
    let shown = one.map(|one| {
        let help = |sign: &str, text: &Option<String>| {
            text.as_ref().map(|text| format!(" {sign} {text}")).unwrap_or_default()
        };
        let (remedy, hint) = (help("→", &one.remedy), help("·", &one.hint));
        format!("{:?}: {}{remedy}{hint}", one.level, one.detail)
    });
    assert_eq!(shown.as_deref(), Some(expected), "{found:#?}");
}

#[test]
fn a_disk_needs_five_gigabytes_free() {
    check(|_, _| {}, "disk", "Pass: 50.0 GB free in /d, 40 % used");
    let prune = "docker buildx prune --all && docker image prune --all";
    check(
        |_, probes| probes.disk.as_mut().unwrap().free = 4_900_000_000,
        "disk",
        &format!("Fail: 4.90 GB free in /d, 40 % used → {prune}"),
    );
    check(|_, probes| probes.disk = None, "disk", "Skip: `df` gave no answer");
}

#[test]
fn a_denied_push_names_the_missing_permission() {
    let push = |push: PushProbe, expected: &str| {
        let change = |_: &mut Facts, probes: &mut Probes| {
            probes.pushes = vec![("web".parse().unwrap(), push)];
        };
        check(change, "may push", expected);
    };
    push(PushProbe::Allowed, "Pass: a test upload was accepted");
    push(PushProbe::NotTried, "Skip: a dry run tries no upload");
    push(
        PushProbe::NotLoggedIn { message: "no credentials".to_owned() },
        "Fail: no credentials → docker login ghcr.io · in a job: `permissions: packages: write`",
    );
    push(
        PushProbe::Denied { message: "no write".to_owned() },
        "Fail: no write → docker login ghcr.io · in a job: `permissions: packages: write`; if the \
         job has that, link the package to this repository under \"Manage Actions access\" at \
         https://github.com/users/o/packages/container/r%2Fweb/settings",
    );
    push(
        PushProbe::Unknown { message: "no route".to_owned() },
        "Unknown: no route → cargo xtask doctor · check the network",
    );
    let none = "Skip: no repository or no services are known";
    check(|_, probes| probes.pushes.clear(), "may push", none);
}

#[test]
fn services_with_the_same_result_share_a_finding() {
    let denied = PushProbe::Denied { message: "denied".to_owned() };
    let names = ["a", "b", "c"].map(|name| name.parse::<ServiceName>().unwrap());
    let pushes = names.into_iter().zip([PushProbe::Allowed, denied, PushProbe::Allowed]).collect();
    let found = credentials(&facts(""), &Probes { pushes, ..probes() });
    let shown: Vec<_> =
        found.iter().map(|one| format!("{:?} {}", one.level, one.subject)).collect();
    assert_eq!(shown, ["Pass ghcr.io", "Fail b"]);
}

#[test]
fn a_clock_may_differ_by_a_minute() {
    check(
        |_, probes| probes.clock_ahead = Some(60),
        "clock",
        "Pass: within 60 s of the registry's clock",
    );
    let refused =
        "the registry's clock: the registry will reject tokens → timedatectl set-ntp true";
    let (behind, ahead) =
        (format!("Fail: 61 s behind {refused}"), format!("Fail: 90 s ahead of {refused}"));
    check(|_, probes| probes.clock_ahead = Some(61), "clock", &behind);
    check(|_, probes| probes.clock_ahead = Some(-90), "clock", &ahead);
    let silent = "Unknown: ghcr.io sends no date → cargo xtask doctor";
    check(|_, probes| probes.clock_ahead = None, "clock", silent);
}

#[test]
fn shallow_clones_and_uncommitted_files_are_found() {
    check(|_, _| {}, "depth", "Pass: full history");
    check(
        |facts, _| facts.git.as_mut().unwrap().shallow = true,
        "depth",
        "Fail: shallow clone: the order of commits is unknown → git fetch --unshallow \
         origin · in a job: `fetch-depth: 0`",
    );
    check(
        |facts, _| facts.git.as_mut().unwrap().dirty = vec!["a".to_owned(), "b".to_owned()],
        "clean",
        "Warn: uncommitted files: 2; push will refuse → git commit",
    );
    check(|facts, _| facts.git = None, "commit", "Fail: there are no commits → git commit");
}

fn ready(driver: &str, containerd_store: bool) -> Engine {
    let node = BuilderNode {
        name: "b0".to_owned(),
        status: "running".to_owned(),
        error: None,
        buildkit: None,
        platforms: vec!["linux/amd64".parse().unwrap()],
        containerd_store,
    };
    let builder = Builder {
        name: "b".to_owned(),
        driver: driver.to_owned(),
        current: true,
        nodes: vec![node],
    };
    Engine::Ready { buildx: "0.29.1".to_owned(), builders: vec![builder] }
}

/// The finding of one check after `change` was made to a builder that supports everything.
#[track_caller]
fn check_engine(change: impl Fn(&mut BuilderNode), about: &str, expected: &str) {
    let mut engine = ready("docker", true);
    if let Engine::Ready { builders, .. } = &mut engine {
        builders.iter_mut().flat_map(|builder| &mut builder.nodes).for_each(change);
    }
    check(|facts, _| facts.engine = engine, about, expected);
}

#[test]
fn the_builder_of_a_push_is_judged() {
    let can = "Pass: `b` (docker) supports cache export, attestations and all platforms";
    check_engine(|_| {}, "exports", can);
    let created = |lack: &str| {
        format!(
            "Warn: push will create `r-builder`: no existing builder fits: the current builder, `b`, {lack} \
             → docker buildx create --name r-builder --driver docker-container --use"
        )
    };
    let store = "because its engine does not use containerd's image store";
    check_engine(
        |node| node.containerd_store = false,
        "exports",
        &created(&format!("cannot export a registry or gha cache, {store}")),
    );
    check_engine(
        |node| node.error = Some("no route".to_owned()),
        "exports",
        &created("does not answer: no route"),
    );
    check_engine(
        |node| node.buildkit = Some("v0.25.0".to_owned()),
        "buildkit",
        "Warn: `b0` has BuildKit 0.25.0, whose exports can fail → docker buildx rm b · the next \
         push recreates it with the newest BuildKit",
    );
}

#[test]
fn a_missing_configured_builder_is_a_failure() {
    let asked = |images: &str, asked: Option<&str>| {
        let facts = Facts { engine: ready("docker", true), ..facts(images) };
        let found = machine(&facts, &probes(), asked);
        let one = found.iter().find(|one| one.level == Level::Fail).unwrap();
        one.detail.clone()
    };
    assert_eq!(
        asked("builder = \"far\"\n", None),
        "the builder `far` from `workspace.metadata.images.builder` does not exist"
    );
    assert_eq!(asked("", Some("near")), "the builder `near` from `--builder` does not exist");
    assert_eq!(
        asked("platforms = [\"linux/arm64\"]\n", None),
        "no builder here can build for linux/arm64, which is configured"
    );
}

#[test]
fn only_an_accepted_actions_cache_token_passes() {
    let gha = |seen: Seen, in_a_job: bool, expected: &str| {
        let change = |facts: &mut Facts, _: &mut Probes| {
            let service: ServiceName = "web".parse().unwrap();
            let (tier, reference) = (CacheTier::Gha, None);
            let look = TierLook { service: service.clone(), tier, reference, seen, seconds: 0.0 };
            facts.tiers = [(service, vec![look])].into();
            facts.environment.github = in_a_job.then(GitHubJob::default);
        };
        check(change, "token", expected);
    };
    let usable = |can_write| Seen::GhaUsable {
        url: "https://h/".parse().unwrap(),
        can_write,
        expires: 0,
        has_index: false,
    };
    let no_token = || Seen::GhaInert { why: GhaInert::NoToken };
    gha(usable(true), true, "Pass: valid, for reading and writing");
    gha(usable(false), true, "Skip: valid, for reading only");
    gha(no_token(), false, "Skip: not a GitHub job");
    gha(
        no_token(),
        true,
        "Fail: no `ACTIONS_RUNTIME_TOKEN`: GitHub gives it to actions, not to `run:` steps · use \
         the local action .github/actions/actions-cache before this step",
    );
    let status = "→ cargo xtask cache status";
    let failed = Seen::Failed { message: "error 500".to_owned() };
    gha(failed, true, &format!("Unknown: error 500 {status}"));
    let hung = Seen::Hung { after_seconds: 3.0 };
    gha(hung, true, &format!("Unknown: no answer within 3 s {status}"));
    let denied = Seen::Denied { message: "no".to_owned() };
    gha(
        denied,
        true,
        "Fail: no · use the local action .github/actions/actions-cache before this step",
    );
    check(|_, _| {}, "token", "Skip: there are no services");
}
