//! docs/commands.md is what `--help` says, and the exit codes are what it says they are.

use std::fmt::Write;

use clap::CommandFactory;
use expect_test::expect_file;

/// The help of a command and of those below it, as Markdown.
fn section(command: &mut clap::Command, path: &str, text: &mut String) {
    let path = if path.is_empty() {
        "cargo xtask".to_owned()
    } else {
        format!("{path} {}", command.get_name())
    };
    let help = command.clone().bin_name(&path).term_width(80).render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    writeln!(text, "\n## `{path}`\n\n```text\n{}\n```", help.join("\n").trim_end()).unwrap();
    for child in command.get_subcommands_mut() {
        section(child, &path, text);
    }
}

#[test]
fn the_commands_page_matches_the_help() {
    let mut text = String::from(
        "# Commands\n\nGenerated from `--help`; after a change: `UPDATE_EXPECT=1 cargo test --test it commands`.\n",
    );
    let mut command = xtask::cli::Cli::command();
    command.build();
    section(&mut command, "", &mut text);
    expect_file!["../../../docs/commands.md"].assert_eq(&text);
}
