//! docs/ghcr-setup.md, typed from beginning to end: every command of it is run in the lab, or is
//! listed here with the reason why not.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::lab::Lab;
use crate::support::{Fixture, Ran};

/// Commands that are not run literally, and why.
const LISTED: [(&str, &str); 4] = [
    (
        "echo \"$TOKEN\" | docker login ghcr.io --username USERNAME --password-stdin",
        "needs an account at ghcr.io; login.rs logs in as a job does",
    ),
    ("docker compose build", "lab/compose.rs builds the file's services in the lab"),
    ("docker compose up --detach", "lab/compose.rs starts them and asks both"),
    ("cargo xtask lab bench", "takes minutes, and writes docs/performance.md"),
];

/// How the lab runs a command.
#[derive(Debug, PartialEq, Eq)]
enum Typed<'g> {
    /// Arguments of our own command.
    Xtask(Vec<&'g str>),
    /// An image of the fixture's registry.
    Pull {
        service: &'g str,
        tag: &'g str,
    },
    Listed(&'g str),
}

fn typed(line: &str) -> Option<Typed<'_>> {
    if let Some((listed, _)) = LISTED.iter().find(|(listed, _)| *listed == line) {
        return Some(Typed::Listed(listed));
    }
    if let Some(image) = line.strip_prefix("docker pull ghcr.io/tzervas/autogit/") {
        let (service, tag) = image.split_once(':')?;
        return Some(Typed::Pull { service, tag });
    }
    // No quotes: each word between blanks is an argument.
    let arguments = line.strip_prefix("cargo xtask ").filter(|rest| !rest.contains(['\'', '"']))?;
    let mut arguments: Vec<_> = arguments.split_whitespace().collect();
    if !arguments.contains(&"--lab") {
        arguments.push("--lab");
    }
    Some(Typed::Xtask(arguments))
}

/// The commands of the guide, in order.
fn commands(guide: &str) -> Vec<&str> {
    let blocks = guide.split("```sh\n").skip(1);
    blocks.flat_map(|rest| rest.split("```").next().unwrap().lines()).collect()
}

/// A repository whose services have the same names.
fn repository() -> (Fixture, Lab) {
    let fixture = Fixture::unpublished();
    for service in ["git-server", "runner-coordinator"] {
        let salt = &fixture.repository;
        fixture.service(
            service,
            &format!(
                "FROM debian:bookworm\nRUN echo {salt} {service} > /x\nUSER 65532:65532\n\
                 CMD [\"perl\", \"-e\", \"$SIG{{TERM}} = sub {{ exit 0 }}; sleep 1 while 1\"]\n"
            ),
        );
        fixture.write(&format!("services/{service}/.dockerignore"), "*\n");
    }
    fixture.commit("feat: two services");
    let lab = Lab::up(&fixture);
    (fixture, lab)
}

fn run(fixture: &Fixture, lab: &Lab, typed: &Typed<'_>) -> Option<Ran> {
    match typed {
        Typed::Xtask(arguments) => Some(fixture.xtask(arguments)),
        Typed::Pull { service, tag } => {
            let image = format!("{}/{}/{service}:{tag}", lab.registry(), fixture.repository);
            Some(lab.docker(&["pull", "--quiet", &image]))
        }
        Typed::Listed(_) => None,
    }
}

#[test]
#[ignore = "needs the lab: cargo xtask test"]
fn every_command_of_the_guide_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let guide = std::fs::read_to_string(root.join("docs/ghcr-setup.md")).unwrap();
    let (fixture, lab) = repository();
    let (mut ran, mut listed) = (0, BTreeSet::new());
    for command in commands(&guide) {
        let typed = typed(command).unwrap_or_else(|| {
            unreachable!("`{command}` of the guide is neither run nor listed with a reason")
        });
        if let Typed::Listed(line) = typed {
            listed.insert(line);
        }
        if let Some(done) = run(&fixture, &lab, &typed) {
            assert_eq!(done.code, Some(0), "{command}\n{}\n{}", done.stdout, done.stderr);
            ran += 1;
        }
    }
    for (line, why) in LISTED {
        assert!(listed.contains(line), "`{line}` is listed, and stands no more in the guide");
        println!("not run: `{line}`: {why}");
    }
    println!("{ran} commands of the guide run, {} listed", listed.len());
    assert!(ran >= 20, "only {ran} commands were found");
}

#[test]
fn the_guide_shows_only_commands_that_are_tested() {
    assert_eq!(typed("docker push ghcr.io/tzervas/autogit/git-server:dev"), None);
    assert_eq!(typed("cargo xtask build \"$SERVICE\""), None);
    assert_eq!(typed("cargo xtask verify"), Some(Typed::Xtask(vec!["verify", "--lab"])));
    assert_eq!(
        typed("docker pull ghcr.io/tzervas/autogit/git-server:dev"),
        Some(Typed::Pull { service: "git-server", tag: "dev" })
    );
    assert_eq!(
        commands("a\n```sh\none\ntwo\n```\nb\n```\nno\n```\n```sh\nthree\n```\n"),
        ["one", "two", "three"]
    );
}
