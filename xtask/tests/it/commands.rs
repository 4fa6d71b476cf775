//! docs/commands.md is generated from `--help`.

use std::fmt::Write;

use clap::CommandFactory;
use expect_test::expect_file;

fn section(text: &mut String, title: &str, command: clap::Command) {
    let help = command.term_width(80).render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    writeln!(text, "\n## {title}\n\n```text\n{}\n```", help.join("\n").trim_end()).unwrap();
}

/// A section for a command and each below it. They are not built as a whole, so none has global options.
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
