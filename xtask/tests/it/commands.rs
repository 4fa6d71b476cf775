//! docs/commands.md is generated from `--help`.

use std::fmt::Write;

use clap::CommandFactory;
use expect_test::expect_file;

use crate::support::Fixture;

fn section(text: &mut String, title: &str, command: clap::Command) {
    let help = command.term_width(80).render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    writeln!(text, "\n## {title}\n\n```text\n{}\n```", help.join("\n").trim_end()).unwrap();
}

/// A section for a command and each subcommand. clap does not build them as a whole, so none has global options.
fn sections(text: &mut String, path: &str, command: &clap::Command) {
    let own = command.clone().bin_name(path).disable_help_flag(true).disable_help_subcommand(true);
    section(text, &format!("`{path}`"), own);
    for child in command.get_subcommands() {
        sections(text, &format!("{path} {}", child.get_name()), child);
    }
}

#[test]
fn the_commands_page_matches_the_help() {
    let mut text = String::from(
        "# Commands\n\nGenerated from `--help`; after a change: `UPDATE_EXPECT=1 cargo test --test it commands`.\n",
    );
    let command = xtask::cli::Cli::command();
    section(&mut text, "Options of every command", command.clone().help_template("{options}"));
    sections(&mut text, "cargo xtask", &command.mut_args(|arg| arg.hide(true)));
    expect_file!["../../../docs/commands.md"].assert_eq(&text);
}

#[test]
fn checks_and_benchmark_need_their_crate() {
    let fixture = Fixture::new();
    for command in [&["test", "--dry-run"][..], &["lab", "bench", "--dry-run"]] {
        let ran = fixture.xtask(command).expect(2);
        let message = "this repository has no crate `xtask-tools`";
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: copy `xtask/lab/tools`"), "{}", ran.stderr);
    }
}

#[test]
fn the_status_of_the_lab_takes_no_facts() {
    for option in ["--facts=f.json", "--record-facts=f.json"] {
        let ran = Fixture::new().xtask(&["lab", "status", option]).expect(2);
        assert!(ran.stderr.contains("gathers no facts"), "{}", ran.stderr);
    }
}
