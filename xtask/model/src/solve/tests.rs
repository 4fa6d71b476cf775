//! Tests of the merged stream, on lines as BuildKit writes them.

use base64::Engine;
use expect_test::{Expect, expect};

use super::vertex::kind;
use super::*;

fn absorbed(lines: &[String]) -> Solve {
    let mut solve = Solve::default();
    lines.iter().zip(1_u32..).for_each(|(line, second)| solve.absorb(line, f64::from(second)));
    solve
}

/// A vertex event; times are seconds after noon, `-` for none.
fn vertex(digest: &str, name: &str, times: &str, more: &str) -> String {
    let time = |text: &str| match text {
        "-" => "null".to_owned(),
        second => format!("\"2026-01-01T12:00:{second:0>2}.5Z\""),
    };
    let (started, completed) = times.split_once(' ').unwrap();
    format!(
        r#"{{"vertexes":[{{"digest":"{digest}","name":"{name}","started":{},"completed":{}{more}}}]}}"#,
        time(started),
        time(completed)
    )
}

fn check_kind(name: &str, expected: &Expect) {
    expected.assert_eq(&format!("{:?}", kind(name)));
}

#[test]
fn the_name_of_a_vertex_decides_its_kind() {
    check_kind(
        "[build 2/5] RUN make",
        &expect![[r#"Step { stage: "build", number: 2, of: 5, instruction: "RUN make" }"#]],
    );
    check_kind(
        "[3/5] COPY --link a b",
        &expect![[r#"Step { stage: "", number: 3, of: 5, instruction: "COPY --link a b" }"#]],
    );
    check_kind(
        "[linux/arm64 stage-1 2/2] RUN x",
        &expect![[
            r#"Step { stage: "linux/arm64 stage-1", number: 2, of: 2, instruction: "RUN x" }"#
        ]],
    );
    check_kind("[build 1/5] FROM docker.io/library/rust:1", &expect!["From"]);
    check_kind("[internal] load build context", &expect!["Internal"]);
    check_kind("[stage-1 4/4] LINK COPY --link a b", &expect!["Internal"]);
    check_kind("[auth] library/debian:pull token", &expect!["Internal"]);
    check_kind(
        "importing cache manifest from ghcr.io/o/r/s:cache",
        &expect![[r#"Import { reference: "ghcr.io/o/r/s:cache" }"#]],
    );
    check_kind("importing to docker", &expect!["Export"]);
    check_kind("exporting cache to registry", &expect!["CacheExport"]);
    check_kind("exporting to image", &expect!["Export"]);
}

#[test]
fn a_cached_step_stays_cached_after_a_pull() {
    let solve = absorbed(&[
        vertex("a", "[1/3] FROM debian", "0 1", ""),
        vertex("b", "[2/3] RUN b", "1 1", r#","cached":true"#),
        vertex("b", "[2/3] RUN b", "2 4", ""),
        vertex("c", "[3/3] RUN c", "4 9", ""),
        vertex("d", "[other 2/2] RUN d", "- -", ""),
    ]);
    assert_eq!(solve.steps(), Steps { total: 2, done: 2, cached: 1 });
    assert_eq!(solve.steps().hit_rate(), Some(0.5));
    assert_eq!(solve.announced_steps(), 3);
}

#[test]
fn an_error_makes_a_cached_step_a_miss() {
    let solve = absorbed(&[
        vertex("b", "[2/3] RUN b", "1 1", r#","cached":true"#),
        vertex("b", "[2/3] RUN b", "2 4", r#","error":"blob not found""#),
    ]);
    assert_eq!(solve.steps().cached, 0);
}

#[test]
fn intervals_that_overlap_count_once() {
    let solve = absorbed(&[
        vertex("a", "[1/1] RUN a", "0 4", ""),
        vertex("a", "[1/1] RUN a", "2 6", ""),
        vertex("a", "[1/1] RUN a", "10 11", ""),
    ]);
    assert!((solve.vertices[0].seconds - 7.0).abs() < 1e-6);
}

#[test]
fn a_blob_that_several_vertices_pull_counts_once() {
    let status = |vertex: &str, id: &str, current: u64| {
        format!(
            r#"{{"statuses":[{{"id":"{id}","vertex":"{vertex}","name":"x","current":{current},"total":9}}]}}"#
        )
    };
    let solve = absorbed(&[
        status("a", "sha256:1", 3),
        status("a", "sha256:1", 9),
        status("b", "sha256:1", 5),
        status("b", "sha256:2", 7),
        status("b", "extracting sha256:2", 100),
    ]);
    assert_eq!(solve.bytes_pulled(), 16);
}

#[test]
fn a_failed_step_has_line_output_and_error() {
    let data = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let (first, second) = (data("o"), data("ne\n10%\r20%\r100%\nlast"));
    let mut solve = absorbed(&[
        vertex("c", "importing cache manifest from r/c:cache", "0 1", r#","error":"not found""#),
        vertex("a", "[2/2] RUN make", "1 -", ""),
        format!(r#"{{"logs":[{{"vertex":"a","stream":2,"data":"{first}"}}]}}"#),
        format!(r#"{{"logs":[{{"vertex":"a","stream":2,"data":"{second}"}}]}}"#),
        vertex("a", "[2/2] RUN make", "1 3", r#","error":"exit code: 2""#),
        "------".to_owned(),
        " > [2/2] RUN make:".to_owned(),
        "------".to_owned(),
        "Dockerfile:7".to_owned(),
        "--------------------".to_owned(),
        "   7 | >>> RUN make".to_owned(),
        "--------------------".to_owned(),
        "ERROR: failed to build: failed to solve: exit code: 2".to_owned(),
    ]);
    assert_eq!(solve.failed().unwrap().name, "[2/2] RUN make");
    assert_eq!(solve.failed().unwrap().last_lines, ["one", "100%", "last"]);
    assert_eq!(solve.failed_line(), Some(7));
    assert_eq!(solve.error(), Some("failed to build: failed to solve: exit code: 2"));
    expect![[r"
        #1 importing cache manifest from r/c:cache
        #1 ERROR: not found

        #2 [2/2] RUN make
        #2 one
        #2 100%
        #2 last
        #2 ERROR: exit code: 2
        ------
         > [2/2] RUN make:
        ------
        Dockerfile:7
        --------------------
           7 | >>> RUN make
        --------------------
        ERROR: failed to build: failed to solve: exit code: 2
    "]]
    .assert_eq(&solve.take_log().unwrap());
    assert_eq!(solve.take_log(), None);
}

#[test]
fn a_build_with_only_imports_open_is_stalled() {
    let import =
        |end: &str| vertex("i", "importing cache manifest from r/c:cache", &format!("0 {end}"), "");
    assert_eq!(Solve::default().stalled(9.0), Some((Stall::Beginning, 9.0)));
    let mut solve = absorbed(&[import("-")]);
    assert_eq!(solve.stalled(31.0), Some((Stall::Import, 30.0)));
    assert_eq!(solve.open_imports(), ["r/c:cache"]);
    solve.absorb(&vertex("s", "[1/1] RUN x", "1 -", ""), 31.0);
    assert_eq!(solve.stalled(90.0), None);
    solve.absorb(&vertex("s", "[1/1] RUN x", "1 2", ""), 40.0);
    solve.absorb(&import("3"), 41.0);
    assert_eq!(solve.stalled(90.0), None);
}

#[test]
fn a_build_with_only_exports_open_is_stalled() {
    for name in ["exporting cache to registry", "exporting to GitHub Actions Cache"] {
        let mut solve = absorbed(&[vertex("e", name, "0 -", "")]);
        assert_eq!(solve.stalled(31.0), Some((Stall::Export, 30.0)), "{name}");
        solve.absorb(&vertex("i", "importing cache manifest from r/c:cache", "0 -", ""), 31.0);
        assert_eq!(solve.stalled(90.0), None);
    }
    let image = absorbed(&[vertex("e", "exporting to image", "0 -", "")]);
    assert_eq!(image.stalled(90.0), None);
}

#[test]
fn a_repeated_warning_is_kept_once() {
    let short = base64::engine::general_purpose::STANDARD.encode("StageNameCasing: x");
    let line = format!(
        r#"{{"warnings":[{{"vertex":"a","level":1,"short":"{short}","range":[{{"start":{{"line":3}},"end":{{"line":3}}}}]}}]}}"#
    );
    let solve = absorbed(&[line.clone(), line]);
    let expected = Warning { message: "StageNameCasing: x".to_owned(), line: Some(3) };
    assert_eq!(solve.warnings, [expected]);
}

#[test]
fn lines_outside_the_stream_become_messages() {
    let solve = absorbed(&["WARN: no output".to_owned(), String::new(), "null".to_owned()]);
    assert_eq!(solve.messages, ["WARN: no output", "null"]);
}
