//! Our Dockerfile rules, tested on this repository's Dockerfiles, and the page docs/dockerfile-rules.md.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use proptest::prelude::{Strategy, prop, proptest};
use xtask::model::config::Config;
use xtask::model::service::ServiceName;
use xtask::plan::rules::{self, Input, RULES};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn every_dockerfile_here_follows_the_rules() {
    let config = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let config = Config::parse("Cargo.toml", &config).unwrap();
    let mut count = 0;
    let mut violations = Vec::new();
    for parent in ["services", "xtask/lab/bases"] {
        for entry in std::fs::read_dir(root().join(parent)).unwrap() {
            let folder = entry.unwrap().path();
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            let file = format!("{parent}/{name}/Dockerfile");
            let own = config.service(&ServiceName::new(name).unwrap());
            let report = rules::check(&Input {
                file: &file,
                text: &std::fs::read_to_string(root().join(&file)).unwrap(),
                arguments: &own.build_args,
                target: own.target.as_deref(),
            });
            count += 1;
            violations.extend(report.violations.iter().map(|one| format!("{file}: {one:?}")));
        }
    }
    assert!(count >= 4, "only {count} Dockerfiles were found");
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn the_page_lists_every_rule() {
    let mut page = String::from(
        "# Rules for Dockerfiles\n\n\
         Generated from the rules; after a change: `UPDATE_EXPECT=1 cargo test --test it rules`.\n\n\
         `cargo xtask verify --local` applies these rules to each service's Dockerfile, and `--strict` makes \
         their warnings fail. They are about the build cache and the layers of the image. Everything else is \
         left to hadolint and to BuildKit's own checks, which `verify` runs as well. If one of the two cannot \
         run, a skipped finding says why and how to get it; `cargo xtask test` installs hadolint.\n\n\
         | rule | why |\n| --- | --- |\n",
    );
    for rule in RULES {
        writeln!(page, "| `{}` | {} |", rule.name, rule.why).unwrap();
    }
    page += "\nA comment above the instruction allows a violation and gives the reason:\n\n\
             ```dockerfile\n\
             # xtask: allow=copy-without-link the service reads its files through a symbolic link\n\
             COPY files/ /srv/\n\
             ```\n\n\
             A comment without a reason, for an unknown rule, or above an instruction that breaks no such rule \
             is itself a violation.\n";
    expect_file!["../../../docs/dockerfile-rules.md"].assert_eq(&page);
}

/// Texts made of Dockerfile syntax in any order.
fn texts() -> impl Strategy<Value = String> {
    const PIECES: [&str; 29] = [
        "FROM ",
        "scratch",
        "a:1 AS one",
        "one",
        "RUN ",
        "COPY ",
        "ARG ",
        "ENV ",
        "WORKDIR ",
        "--from=",
        "--mount=type=cache,target=",
        "$",
        "${A:-",
        "}",
        "\"",
        "'",
        "\\",
        "\n",
        "\n\n",
        " ",
        "<<EOF",
        "EOF\n",
        "[",
        "]",
        "# xtask: allow=",
        "wide-copy",
        "rm -rf ",
        "npm ci",
        "ä",
    ];
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_violation_names_a_line_of_the_text(
        text in texts(), target in prop::option::of("one|[0-3]"),
    ) {
        let report = rules::check(&Input {
            file: "Dockerfile",
            text: &text,
            arguments: &BTreeMap::new(),
            target: target.as_deref(),
        });
        let lines = text.lines().count().max(1);
        assert!(report.violations.iter().all(|one| (1..=lines).contains(&one.line)));
    }
}
