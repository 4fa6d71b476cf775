//! Our own rules on the Dockerfiles of this repository, and docs/dockerfile-rules.md.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use proptest::prelude::{Strategy, prop, proptest};
use xtask::model::config::Config;
use xtask::model::ignore_file::BuildContext;
use xtask::model::service::ServiceName;
use xtask::outside::context;
use xtask::plan::rules::{self, RULES, Subject};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn our_dockerfiles_follow_the_rules() {
    let config = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let config = Config::parse("Cargo.toml", &config).unwrap();
    let mut count = 0;
    let mut broken = Vec::new();
    for parent in ["services", "xtask/lab/bases"] {
        for entry in std::fs::read_dir(root().join(parent)).unwrap() {
            let folder = entry.unwrap().path();
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            let file = format!("{parent}/{name}/Dockerfile");
            let own = config.service(&ServiceName::new(name).unwrap());
            let judgement = rules::judge(&Subject {
                file: &file,
                text: &std::fs::read_to_string(root().join(&file)).unwrap(),
                arguments: &own.build_args,
                target: own.target.as_deref(),
                context: &context::read(&folder, rules::is_private),
            });
            count += 1;
            broken.extend(judgement.broken.into_iter().map(|broken| format!("{file}: {broken:?}")));
        }
    }
    assert!(count >= 4, "only {count} Dockerfiles were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_page_has_every_rule() {
    let mut page = String::from(
        "# Rules for Dockerfiles\n\n\
         Generated from the rules; after a change: `UPDATE_EXPECT=1 cargo test --test it rules`. `cargo xtask \
         verify --local` judges each service's Dockerfile and build context by them, with the line and how \
         to mend it; with `--strict` what they find fails. hadolint and BuildKit's own checks see other \
         things; `verify` tells what they find too where they are installed, and `cargo xtask test` \
         installs them.\n\n\
         | rule | why |\n| --- | --- |\n",
    );
    for rule in RULES {
        writeln!(page, "| `{}` | {} |", rule.name, rule.why).unwrap();
    }
    page += "\nWhere a rule is wrong, a comment above the instruction allows what it finds there, and says \
             why:\n\n\
             ```dockerfile\n\
             # xtask: allow=root-user GitLab's services change to users of their own\n\
             FROM gitlab/gitlab-ce:16.11.0-ce.0\n\
             ```\n\n\
             An allowance without a reason, for a rule that does not exist, or for nothing, is itself a \
             finding.\n";
    expect_file!["../../../docs/dockerfile-rules.md"].assert_eq(&page);
}

/// Texts made of what has a meaning in a Dockerfile, in any order.
fn texts() -> impl Strategy<Value = String> {
    const PIECES: [&str; 30] = [
        "FROM ",
        "scratch",
        "a:1 AS one",
        "one",
        "RUN ",
        "COPY ",
        "ARG ",
        "ENV ",
        "USER ",
        "VOLUME ",
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
        "root-user",
        "rm -rf ",
        "apt-get install",
        "ä",
    ];
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn findings_on_any_text_point_into_it(
        text in texts(), ignore in texts(), target in prop::option::of("one|[0-3]"),
    ) {
        let context = BuildContext { ignore_file: Some(ignore), paths: vec![".env".to_owned()] };
        let judgement = rules::judge(&Subject {
            file: "Dockerfile",
            text: &text,
            arguments: &std::collections::BTreeMap::new(),
            target: target.as_deref(),
            context: &context,
        });
        let lines = text.lines().count().max(1);
        assert!(judgement.broken.iter().all(|broken| (1..=lines).contains(&broken.line)));
    }
}
