//! Tests of the rules about what an image is made from and does.

use super::{BuildContext, Case, check, judged};

#[test]
fn a_base_is_named_by_version_or_digest() {
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let latest = |text: &str, expected| check("base-latest", text, expected);
    latest("FROM a/b:latest\n", &[1]);
    latest("ARG TAG=latest\nFROM a/b:${TAG}\nCOPY --link --from=c:latest /a /a\n", &[2, 3]);
    latest(&format!("FROM a:latest@{digest}\n"), &[]);
    latest("ARG TAG=latest\nFROM scratch\n", &[]);

    let unpinned = |text: &str, expected| check("base-unpinned", text, expected);
    unpinned("FROM debian\n", &[1]);
    unpinned("FROM localhost:5000/a\nRUN --mount=from=busybox,target=/b true\n", &[1, 2]);
    unpinned("ARG BASE=debian\nFROM --platform=linux/amd64 $BASE AS one\nFROM one\n", &[2]);
    unpinned("ARG V=1\nFROM a/b:${V} AS one\nFROM one\nCOPY --from=one /a /a\nFROM scratch\n", &[]);
    unpinned(&format!("FROM debian@{digest}\n"), &[]);
    unpinned("FROM a:1\nFROM a:1\nCOPY --from=0 /a /a\n", &[]);
    unpinned("ARG BASE\nFROM $BASE\n", &[]);
    let given = Case {
        text: "ARG BASE\nFROM $BASE\n",
        arguments: &[("BASE", "debian")],
        target: None,
        context: BuildContext::default(),
    };
    assert!(judged(&given).broken.iter().any(|broken| broken.rule == "base-unpinned"));
}

#[test]
fn the_final_stage_does_not_run_as_root() {
    let check = |text, expected| check("root-user", text, expected);
    check("FROM a:1\nCMD [\"/x\"]\n", &[1]);
    check("FROM a:1 AS one\nUSER 1\nFROM a:1\nUSER 5\nUSER 0:0\n", &[5]);
    check("FROM a:1 AS one\nFROM one AS two\n", &[2]);
    check("FROM scratch\nENTRYPOINT [\"/x\"]\n", &[1]);
    check("FROM a:1\nARG WHO=root\nUSER $WHO\n", &[3]);

    check("FROM a:1\nRUN make\nUSER 65532:65532\n", &[]);
    check("FROM a:1 AS one\nUSER nobody\nFROM one\n", &[]);
    check("FROM a:1\nUSER root\nRUN make\nUSER www\n", &[]);
    check("FROM scratch\nCOPY a /a\n", &[]);
    check("FROM gcr.io/distroless/static:nonroot\n", &[]);
    let text = "FROM a:1 AS tests\nUSER 0\nFROM a:1\nUSER 1\n";
    let target = Some("tests");
    let case = Case { text, arguments: &[], target, context: BuildContext::default() };
    assert_eq!(judged(&case).broken.first().map(|broken| broken.line), Some(2));
}

#[test]
fn signals_reach_the_program() {
    let check = |text, expected| check("shell-form", text, expected);
    check("FROM a:1\nCMD serve\nENTRYPOINT exec serve\n", &[2, 3]);
    check("FROM a:1\nHEALTHCHECK --interval=5s CMD curl localhost\n", &[2]);
    check("FROM a:1\nCMD ['serve']\n", &[2]);

    check("FROM a:1\nENTRYPOINT [\"serve\"]\nCMD [\"--all\"]\nHEALTHCHECK NONE\n", &[]);
    check("FROM a:1\nHEALTHCHECK --retries=3 \\\n  CMD [\"check\"]\nCMD []\n", &[]);
}

#[test]
fn no_secret_is_an_argument_or_a_variable() {
    let check = |text, expected| check("secret-in-image", text, expected);
    check("ARG NPM_TOKEN\nFROM a:1\nARG A DB_PASSWORD=x\nENV AWS_ACCESS_KEY=1\n", &[1, 3, 4]);
    check("FROM a:1\nENV token abc\n", &[2]);

    check("FROM a:1\nRUN --mount=type=secret,id=NPM_TOKEN,env=NPM_TOKEN npm ci\n", &[]);
    check("FROM a:1\nENV DB_PASSWORD_FILE=/run/x TOKEN= PUBLIC_KEY=1 KEYBOARD=de\n", &[]);
    check("FROM a:1\nARG TOKEN_TTL=1 AUTHOR=me MONKEY=1\n", &[]);
}

#[test]
fn the_context_has_an_ignore_file_that_keeps_out_what_is_private() {
    let check = |text: &str, ignore_file: Option<&str>, paths: &[&str], expected: &[&str]| {
        let context = BuildContext {
            ignore_file: ignore_file.map(str::to_owned),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        };
        let judgement = judged(&Case { text, arguments: &[], target: None, context });
        let broken = judgement.broken.iter();
        let broken =
            broken.filter(|broken| ["no-ignore-file", "private-in-context"].contains(&broken.rule));
        let shown: Vec<String> = broken
            .map(|broken| format!("{}: {}: {}", broken.line, broken.rule, broken.detail))
            .collect();
        assert_eq!(shown, expected, "{text} {ignore_file:?} {paths:?}");
    };
    let copies = "FROM scratch\nCOPY --from=a:1 /a /a\nCOPY a /b\n";
    check(
        copies,
        None,
        &[".git"],
        &["3: no-ignore-file: there is no .dockerignore beside the Dockerfile"],
    );
    let private = [".env", ".env.local", "app/node_modules", "target"];
    let lets_in = "3: private-in-context: .dockerignore lets `.env.local`, `app/node_modules` in";
    check(copies, Some(".env\ntarget\nnode_modules\n"), &private, &[lets_in]);
    check(
        "FROM a:1\nRUN --mount=target=/x true\n",
        Some("*\n!.git\n"),
        &[".git"],
        &["2: private-in-context: .dockerignore lets `.git` in"],
    );

    check(copies, Some("*\n!a\n"), &private, &[]);
    check(copies, Some(".git/*\n.env\n"), &[".git", ".env.example"], &[]);
    // Also where there is none: another checkout has one.
    let env = "3: private-in-context: .dockerignore lets `.env` in";
    check(copies, Some(".git\n"), &[], &[env]);
    check("FROM a:1\nCOPY <<EOF /x\na\nEOF\nADD https://a/b /\n", None, &[".git"], &[]);
}
