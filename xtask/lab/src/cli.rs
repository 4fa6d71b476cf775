//! The command line: two subcommands. It has no parser crate, which would have to be compiled.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use lexopt::{Arg, Parser, ValueExt as _};

use crate::actions_cache::token::Scope;

pub const HELP: &str = "\
Local stand-ins for GitHub, and a fault-injecting front before a real registry.

Usage: lab serve --state-dir DIR --registry HOST:PORT [OPTIONS]
       lab token --scope REF [--permission BITS] [--scope REF …] [--expires-in SECONDS]

serve starts all servers, prints their addresses as one JSON object and writes them to DIR/servers.json. It stops on
SIGTERM and SIGINT; its state is kept below DIR.
      --state-dir DIR           where everything is kept
      --registry HOST:PORT      the registry behind the front
      --actions-cache-port N    the ports; 0 is any free one [default: 0]
      --github-api-port N
      --proxy-port N
      --proxy-control-port N

token prints a runtime token for the Actions cache.
      --scope REF               a git ref, once for each scope
      --permission BITS         1 read, 2 write, 3 both, for the scope before it [default: 3]
      --expires-in SECONDS      how long it is valid; 0 or less has expired [default: 3600]
";

/// What to do.
#[derive(Debug)]
pub enum Command {
    Help,
    Serve(Serve),
    Token { scopes: Vec<Scope>, expires_in: i64 },
}

#[derive(Debug)]
pub struct Serve {
    pub state_dir: PathBuf,
    pub registry: SocketAddr,
    pub ports: Ports,
}

/// 0 means any free port.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    pub actions_cache: u16,
    pub github_api: u16,
    pub proxy: u16,
    pub proxy_control: u16,
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let mut parser = Parser::from_args(arguments);
    match parser.next()? {
        None | Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help),
        Some(Arg::Value(name)) if name == "serve" => serve(&mut parser),
        Some(Arg::Value(name)) if name == "token" => token(&mut parser),
        Some(other) => bail!("there is no subcommand `{}`\n\nhint: lab --help", shown(&other)),
    }
}

fn serve(parser: &mut Parser) -> Result<Command> {
    let (mut state_dir, mut registry, mut ports) = (None, None, Ports::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("state-dir") => state_dir = Some(PathBuf::from(parser.value()?)),
            Arg::Long("registry") => registry = Some(parser.value()?.parse()?),
            Arg::Long("actions-cache-port") => ports.actions_cache = parser.value()?.parse()?,
            Arg::Long("github-api-port") => ports.github_api = parser.value()?.parse()?,
            Arg::Long("proxy-port") => ports.proxy = parser.value()?.parse()?,
            Arg::Long("proxy-control-port") => ports.proxy_control = parser.value()?.parse()?,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            other => bail!("`serve` does not take `{}`\n\nhint: lab --help", shown(&other)),
        }
    }
    Ok(Command::Serve(Serve {
        state_dir: state_dir.context("`--state-dir` is missing\n\nhint: lab --help")?,
        registry: registry.context("`--registry` is missing\n\nhint: lab --help")?,
        ports,
    }))
}

fn token(parser: &mut Parser) -> Result<Command> {
    let (mut scopes, mut expires_in) = (Vec::<Scope>::new(), 3600);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("scope") => {
                scopes.push(Scope { scope: parser.value()?.string()?, permission: 3 });
            }
            Arg::Long("permission") => {
                let scope = scopes
                    .last_mut()
                    .context("`--permission` belongs after the `--scope` it is for")?;
                scope.permission = parser.value()?.parse()?;
            }
            Arg::Long("expires-in") => expires_in = parser.value()?.parse()?,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            other => bail!("`token` does not take `{}`\n\nhint: lab --help", shown(&other)),
        }
    }
    ensure!(!scopes.is_empty(), "`--scope` is missing\n\nhint: lab token --scope refs/heads/dev");
    Ok(Command::Token { scopes, expires_in })
}

fn shown(argument: &Arg<'_>) -> String {
    match argument {
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Long(name) => format!("--{name}"),
        Arg::Value(value) => value.to_string_lossy().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn addresses_and_ports_are_read() {
        let line = "serve --state-dir s --registry 127.0.0.1:5000 --proxy-port 5001";
        let Command::Serve(serve) = parsed(line).unwrap() else { panic!("this is serve") };
        assert_eq!(
            (serve.registry.port(), serve.ports.proxy, serve.ports.github_api),
            (5000, 5001, 0)
        );
    }

    #[test]
    fn a_permission_belongs_to_the_scope_before_it() {
        let line =
            "token --scope refs/heads/dev --permission 1 --scope refs/heads/main --expires-in=-5";
        let Command::Token { scopes, expires_in } = parsed(line).unwrap() else {
            panic!("this is token")
        };
        assert_eq!(scopes.iter().map(|scope| scope.permission).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(expires_in, -5);
    }

    #[test]
    fn each_command_line_error_is_named() {
        for (line, message) in [
            ("up", "there is no subcommand `up`"),
            ("serve --registry 127.0.0.1:5000", "`--state-dir` is missing"),
            ("serve --port 1", "`serve` does not take `--port`"),
            ("token --permission 1", "`--permission` belongs after"),
            ("token", "`--scope` is missing"),
        ] {
            assert!(parsed(line).unwrap_err().to_string().starts_with(message), "{line}");
        }
    }
}
