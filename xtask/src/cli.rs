//! The command line: what can be typed, and nothing of what it does.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::channel::Channel;
use crate::model::config::{SecretSource, secret_source};
use crate::model::lab::EngineChoice;
use crate::model::platform::Platform;
use crate::plan::ci::Play;
use crate::plan::release::Next;

/// Builds, publishes and keeps the container images of this repository.
#[derive(Debug, Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    max_term_width = 80,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done · 1 failed · 2 wrong usage or configuration · \
                  3 refused, to keep something safe · 4 stopped early, run again"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
pub struct Global {
    /// Show what would be done and why, and change nothing
    #[arg(long, global = true, env = "XTASK_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub dry_run: bool,
    /// Form of the data on stdout; `bake` and `matrix` go with `build`
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Run in the lab: an engine, a registry and stand-ins, all on loopback
    #[arg(long, global = true)]
    pub lab: bool,
    /// Never install a package for the lab; say what is missing instead
    #[arg(long, global = true)]
    pub no_install: bool,
    /// The buildx builder to use
    #[arg(long, global = true, value_name = "NAME")]
    pub builder: Option<String>,
    /// Show each process call before it runs
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Show no progress, only data and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Save what was gathered to a file
    #[arg(long, global = true, value_name = "FILE")]
    pub record_facts: Option<PathBuf>,
    /// Plan from such a file, without looking at the world
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "record_facts")]
    pub facts: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Human,
    Json,
    /// A file for `docker buildx bake --file`
    Bake,
    /// The `matrix` of a GitHub job: the services to build
    Matrix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build services, and with --test also start them
    Build(Build),
    /// Build and publish the dev channel; what did not change is only tagged
    Push(Push),
    /// Publish a version under its tags, and create the GitHub release
    Release(Release),
    /// Say whether what is published, and what is in the repository, is what we think
    Verify(Verify),
    /// Say why a build here would be slow, denied or impossible, and what to type
    Doctor(Doctor),
    /// Delete old images, and never one that is needed; plans unless --apply
    Prune(Prune),
    /// Look at the cache tiers, or make the next build cold
    Cache {
        #[command(subcommand)]
        command: Cache,
    },
    /// Bring up, look at or take down the lab
    Lab {
        #[command(subcommand)]
        command: Lab,
    },
    /// Run what a workflow would run, as its file says
    Ci(Ci),
    /// Check everything that CI checks
    Test(Test),
}

#[derive(Debug, Clone, Args)]
pub struct Build {
    /// Services to build; all when none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Build for this channel instead of the one the GitHub job tells
    #[arg(long, value_enum)]
    pub channel: Option<Channel>,
    /// Build only services whose inputs differ from this revision
    #[arg(long, value_name = "REV")]
    pub changed_since: Option<String>,
    /// Builds that run at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Set a build argument of every service built
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub build_arg: Vec<(String, String)>,
    /// Mount a secret during the build; its source must be there
    #[arg(long, value_name = "id=ID,env=NAME|src=FILE", value_parser = secret)]
    pub secret: Vec<(String, SecretSource)>,
    /// Build for these platforms
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',', value_parser = Platform::from_str)]
    pub platform: Vec<Platform>,
    /// Use no cache at all
    #[arg(long)]
    pub no_cache: bool,
    /// Run BuildKit's checks of the Dockerfiles instead of building
    #[arg(long, conflicts_with = "test")]
    pub check: bool,
    /// Start each built image and wait until it is healthy and answers
    #[arg(long)]
    pub test: bool,
    /// How to show progress
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
}

#[derive(Debug, Clone, Args)]
pub struct Push {
    /// Services to publish; all when none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Publish only services whose inputs differ from this revision
    #[arg(long, value_name = "REV")]
    pub changed_since: Option<String>,
    #[command(flatten)]
    pub publish: Publish,
    /// Say for each service which input changed, and why it is built or not
    #[arg(long)]
    pub explain: bool,
    /// Publish a tree with changes that are not committed, marked as such
    #[arg(long)]
    pub allow_dirty: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Release {
    /// The version; without it that of the git tag that is checked out
    #[arg(value_name = "VERSION")]
    pub version: Option<String>,
    /// The version after the last one
    #[arg(long, value_enum, conflicts_with = "version")]
    pub next: Option<Next>,
    /// Publish the tested `dev-<sha>` image, without a build
    #[arg(long, env = "XTASK_PROMOTE", value_parser = FalseyValueParser::new())]
    pub promote: bool,
    /// Create the git tag, and push it
    #[arg(long)]
    pub create_tag: bool,
    /// Create no GitHub release
    #[arg(long)]
    pub no_github_release: bool,
    #[command(flatten)]
    pub publish: Publish,
}

#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// Services to look at; all when none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Look at the repository alone, and at no registry
    #[arg(long)]
    pub local: bool,
    /// Start each published image by its digest, ask it, and stop it
    #[arg(long, conflicts_with = "local")]
    pub smoke: bool,
    /// Let warnings fail
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// Let warnings fail
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Clone, Args)]
#[command(subcommand_precedence_over_arg = true)]
pub struct Prune {
    #[command(subcommand)]
    pub command: Option<PruneCommand>,
    /// Services whose packages are pruned; all when none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// List again, plan again and delete; of a plan's file only what both agree on
    #[arg(long, value_name = "PLAN", num_args = 0..=1)]
    pub apply: Option<Option<PathBuf>>,
    /// Write what would be deleted to a file, for --apply
    #[arg(long, value_name = "FILE", conflicts_with = "apply")]
    pub plan_file: Option<PathBuf>,
    /// Plan for a package in a file, without any registry
    #[arg(long, value_name = "FILE", conflicts_with_all = ["apply", "plan_file"])]
    pub inventory: Option<PathBuf>,
    /// Where the report of --apply goes
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where packages are listed and deleted
    #[arg(long, value_enum, default_value_t = Backend::Auto)]
    pub backend: Backend,
    /// The most requests to GitHub's API
    #[arg(long, value_name = "N", default_value_t = 900)]
    pub budget: u64,
}

#[derive(Debug, Clone, Subcommand)]
pub enum PruneCommand {
    /// Show what keeps a version, or why it goes
    Explain {
        /// For instance `git-server:dev`, or with a digest
        #[arg(value_name = "SERVICE:TAG")]
        reference: String,
    },
    /// Restore what a run deleted
    Undo {
        #[arg(value_name = "REPORT")]
        report: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// GitHub for ghcr.io, the registry itself for any other
    Auto,
    /// GitHub's REST API
    Github,
    /// The registry's own API
    Registry,
}

/// Options of all commands that publish.
#[derive(Debug, Clone, Args)]
pub struct Publish {
    /// Build although nothing changed
    #[arg(long)]
    pub rebuild: bool,
    /// Let a floating tag go back to an older commit
    #[arg(long)]
    pub allow_rollback: bool,
    /// Services that are published at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Sign each digest with cosign: with the key that `COSIGN_KEY` names, or else keyless
    #[arg(long)]
    pub sign: bool,
    /// How to show progress
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Cache {
    /// Show for each service and tier what is there, its age and size, and whether it can be used
    Status {
        /// Services to look at; all when none is named
        #[arg(value_name = "SERVICE")]
        services: Vec<String>,
    },
    /// Make the next build cold, without deleting anything that is in use
    Invalidate {
        /// Services; all when none is named
        #[arg(value_name = "SERVICE")]
        services: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A live display on a terminal, plain lines elsewhere
    Auto,
    /// Plain lines
    Plain,
    /// buildx's own display
    Native,
}

#[derive(Debug, Clone, Args)]
pub struct Ci {
    /// What is played
    #[arg(value_enum, value_name = "WORKFLOW")]
    pub play: Play,
    /// The event as GitHub tells it, in JSON; without it, that of this checkout
    #[arg(long, value_name = "FILE")]
    pub event: Option<PathBuf>,
    /// Run it as by hand, with this input
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, conflicts_with = "event")]
    pub input: Vec<(String, String)>,
    /// Set a variable of the repository
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub var: Vec<(String, String)>,
}

#[derive(Debug, Clone, Args)]
pub struct Test {
    /// Checks to run; all when none is named, `--dry-run` lists them
    #[arg(value_name = "CHECK")]
    pub checks: Vec<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Lab {
    /// Bring everything up; what is up stays as it is
    Up {
        /// The engine to use
        #[arg(long, value_enum, default_value_t = EngineChoice::Auto)]
        engine: EngineChoice,
    },
    /// Take everything down that `up` started
    Down {
        /// Delete the lab's data too: images, caches, stand-in bases
        #[arg(long)]
        purge: bool,
    },
    /// Show what is up and where
    Status,
    /// Measure pushes and releases beside what people type today; writes docs/performance.md
    Bench(Bench),
}

#[derive(Debug, Clone, Args)]
pub struct Bench {
    /// How often everything is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Put the registry behind a link of this rate, such as 100mbit
    #[arg(long, value_name = "RATE")]
    pub bandwidth: Option<String>,
    /// Leave out how long xtask takes to compile
    #[arg(long)]
    pub no_compile: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Reads buildx's own form of a secret, so that a line pasted from there works here.
fn secret(text: &str) -> Result<(String, SecretSource), String> {
    let field =
        |key: &str| text.split(',').find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
    let wrong = || "expected id=ID,env=NAME or id=ID,src=FILE".to_owned();
    let known = ["id", "env", "src", "source", "type"];
    let stray = text
        .split(',')
        .find(|part| part.split_once('=').is_none_or(|(key, _)| !known.contains(&key)));
    if stray.is_some() {
        return Err(wrong());
    }
    let id = field("id").ok_or_else(wrong)?;
    let source = match (field("env"), field("src").or_else(|| field("source"))) {
        (Some(name), None) => format!("env:{name}"),
        (None, Some(path)) => format!("file:{path}"),
        _ => return Err(wrong()),
    };
    Ok((id.to_owned(), secret_source(id, &source)?))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_secret_names_its_source_and_never_its_value() {
        let env = secret("id=npm,env=NPM_TOKEN").unwrap();
        assert_eq!(env, ("npm".to_owned(), SecretSource::Env("NPM_TOKEN".to_owned())));
        let file = secret("type=file,id=pem,src=key.pem").unwrap();
        assert_eq!(file, ("pem".to_owned(), SecretSource::File("key.pem".to_owned())));
        for wrong in ["npm", "id=npm", "id=npm,value=hunter2", "id=a b,env=X", "id=x,env=A,src=b"] {
            assert!(secret(wrong).is_err(), "{wrong}");
        }
    }
}
