//! Tests of the Dockerfile parser.

use expect_test::{Expect, expect};

use super::*;

fn check(text: &str, arguments: &[(&str, &str)], target: Option<&str>, expected: &Expect) {
    let arguments =
        arguments.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let shown = match Dockerfile::parse(text) {
        Ok(file) => {
            let base = file.final_base(&arguments, target);
            let bases = file.bases(&arguments, target).join(" ");
            format!("{bases} | {}", base.as_deref().unwrap_or("scratch"))
        }
        Err(error) => format!("line {}: {}", error.line, error.problem),
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_build_argument_overrides_the_default_base() {
    let text = "ARG VERSION=16.11.0-ce.0\nFROM gitlab/gitlab-ce:${VERSION}\n";
    check(
        text,
        &[],
        None,
        &expect!["gitlab/gitlab-ce:16.11.0-ce.0 | gitlab/gitlab-ce:16.11.0-ce.0"],
    );
    check(text, &[("VERSION", "17")], None, &expect!["gitlab/gitlab-ce:17 | gitlab/gitlab-ce:17"]);
    check("FROM $BASE\n", &[("BASE", "x")], None, &expect![" | scratch"]);
}

#[test]
fn only_stages_that_the_target_needs_count() {
    let text = "\
FROM rust:1 AS Build
RUN cargo build
FROM golang:1 AS unused
FROM build AS tested
RUN --mount=type=bind,from=alpine:3,target=/x true
FROM scratch
COPY --link --from=build /a /a
COPY --from=busybox:1 /bin/busybox /
";
    check(text, &[], None, &expect!["rust:1 busybox:1 | scratch"]);
    check(text, &[], Some("TESTED"), &expect!["rust:1 alpine:3 | rust:1"]);
    check(text, &[], Some("1"), &expect!["golang:1 | golang:1"]);
    check(text, &[], Some("none"), &expect![" | scratch"]);
}

#[test]
fn comments_and_here_documents_contain_no_instructions() {
    let text = "\
# escape=`
FROM --platform=$BUILDPLATFORM `
# between
  debian:12 `
  AS one
RUN <<EOF
FROM not-a-stage
EOF
RUN echo a \\
FROM one AS two
";
    check(text, &[], None, &expect!["debian:12 | debian:12"]);
}

#[test]
fn defaults_and_alternatives_are_expanded() {
    let text = "ARG A\nARG B=b\nFROM x:${A:-1}${B:+2}${C:+3}-$B\n";
    check(text, &[], None, &expect!["x:12-b | x:12-b"]);
    check(text, &[("A", "9")], None, &expect!["x:92-b | x:92-b"]);
}

#[test]
fn an_invalid_dockerfile_names_its_line() {
    check("RUN true\n", &[], None, &expect!["line 1: no `FROM` instruction"]);
    check(
        "\nFROM a b c\n",
        &[],
        None,
        &expect!["line 2: expected `FROM [--platform=…] IMAGE [AS NAME]`"],
    );
}

/// Each instruction as `LINE KEYWORD arguments`, with its comments above and its documents below.
fn check_instructions(text: &str, expected: &Expect) {
    let (found, trailing) = instructions(text);
    let mut shown = String::new();
    for instruction in found {
        let comments = instruction.comments.iter().map(|(at, text)| format!("{at}# {text}\n"));
        shown.extend(comments);
        let Instruction { line, keyword, arguments, .. } = &instruction;
        shown.extend([format!(
            "{line} {keyword} {arguments}
"
        )]);
        shown.extend(instruction.documents.iter().map(|document| format!("{document:?}\n")));
    }
    shown.extend(trailing.iter().map(|(at, text)| format!("{at}# {text}\n")));
    expected.assert_eq(&shown);
}

#[test]
fn an_instruction_has_its_comments_and_documents() {
    let text = "\
# syntax=docker/dockerfile:1
#  escape = `

# says why
run --network=none a `
  # in between

  b ``
COPY <<\"ONE\" <<-TWO /x/
one \\
ONE
\tONE
\tTWO
RUN sh -c 'cat <<THREE' `
# the end
";
    check_instructions(
        text,
        &expect![[r#"
            1# syntax=docker/dockerfile:1
            2# escape = `
            4# says why
            6# in between
            5 RUN a   b ``
            9 COPY <<"ONE" <<-TWO /x/
            "one \\\n"
            "ONE\n"
            15# the end
            14 RUN sh -c 'cat <<THREE'
        "#]],
    );
}

#[test]
fn a_directive_below_a_comment_is_ignored() {
    check_instructions(
        "# why\n# escape=`\nRUN a \\\n b\n\n# end\n",
        &expect![[r"
            1# why
            2# escape=`
            3 RUN a  b
            6# end
        "]],
    );
}

fn one(text: &str) -> Instruction {
    instructions(text).0.remove(0)
}

#[test]
fn flags_come_first_and_lose_their_quotes() {
    let copy = one("COPY --link --from=\"a b\" --chown=1:1 --link=false x --y /z\n");
    assert_eq!(copy.flag("from"), Some("a b"));
    assert!(!copy.switch("link") && copy.flag("y").is_none());
    assert!(one("COPY --link x /x").switch("link"));
    assert_eq!(copy.operands(), ["x", "--y", "/z"]);
    let run = one("RUN --mount=type=cache,dst=/x --mount=from=b,src=/c,\"target=/t\" make --all\n");
    let mount = |kind: &str, target: &str, source: Option<&str>, from: Option<&str>| Mount {
        kind: kind.to_owned(),
        target: Some(target.to_owned()),
        source: source.map(str::to_owned),
        from: from.map(str::to_owned),
        id: None,
        required: None,
    };
    let expected = [mount("cache", "/x", None, None), mount("bind", "/t", Some("/c"), Some("b"))];
    assert_eq!(run.mounts(), expected);
    assert_eq!(run.arguments, "make --all");
}

#[test]
fn only_an_array_of_strings_is_json_form() {
    assert_eq!(one("CMD [ \"a\", \"b c\" ]").json(), Some(vec!["a".to_owned(), "b c".to_owned()]));
    for text in ["CMD ['a']", "CMD [\"a\", 1]", "CMD [ -f x ]", "CMD a"] {
        assert_eq!(one(text).json(), None, "{text}");
    }
    assert_eq!(one("COPY [\"a b\", \"/c\"]").operands(), ["a b", "/c"]);
}

#[test]
fn one_instruction_sets_several_names() {
    let pairs = |text: &str| {
        let pairs = one(text).pairs().into_iter();
        pairs.map(|(name, value)| format!("{name}:{}", value.unwrap_or("-".into()))).collect()
    };
    let check = |text: &str, expected: &[&str]| {
        let found: Vec<String> = pairs(text);
        assert_eq!(found, expected, "{text}");
    };
    check("ARG A B=1 C=\"x y\"", &["A:-", "B:1", "C:x y"]);
    check("ENV A=1 \\\n B='2 \"3\"' C=a\\ b D=\\$A", &["A:1", "B:2 \"3\"", "C:a b", "D:\\$A"]);
    check("ENV A the rest of it", &["A:the rest of it"]);
}

#[test]
fn a_run_has_the_commands_of_its_script() {
    let programs = |text: &str| -> Vec<String> {
        one(text).commands().iter().map(|command| command.program().to_owned()).collect()
    };
    assert_eq!(programs("RUN --network=none a && \\\n b"), ["a", "b"]);
    assert_eq!(programs("RUN [\"/bin/a\", \"&&\", \"b\"]"), ["a"]);
    assert_eq!(programs("RUN <<EOF\na\nb\nEOF\n"), ["a", "b"]);
    assert_eq!(programs("RUN bash -e <<EOF\na\nEOF\n"), ["bash", "a"]);
    assert_eq!(programs("RUN python3 <<EOF\nimport a\nEOF\n"), ["python3"]);
}

#[test]
fn a_secret_mount_is_required_by_default() {
    let file = Dockerfile::parse(
        "FROM a AS unused\nRUN --mount=type=secret,id=never x\n\
         FROM a AS build\nRUN --mount=type=secret,id=npm --mount=type=cache,target=/c x\n\
         RUN --mount=type=secret,id=maybe,required=false x\n\
         RUN --mount=type=secret,target=/run/of-target,required \\\n  x\n\
         RUN --mount=type=secret,id=$VARIABLE x\n\
         FROM scratch\nCOPY --from=build /x /x\n",
    );
    let needed = file.unwrap().secrets(&BTreeMap::new(), None);
    assert_eq!(needed, [("npm".to_owned(), 4), ("of-target".to_owned(), 6)]);
}
