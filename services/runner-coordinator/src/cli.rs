//! The command line. Two commands and two options do not need a parser crate.

use anyhow::bail;

pub const HELP: &str = "\
Watch over the runners of an AutoGit installation

Usage: runner-coordinator [COMMAND]

Commands:
  serve   Serve HTTP until stopped (default)
  health  Check whether the coordinator on this machine answers; exit 0 if it does, otherwise 1

Options:
  -h, --help     Print this help
  -V, --version  Print the version

Environment:
  AUTOGIT_COORDINATOR_ADDRESS  Address to listen on, IP:PORT [default: 0.0.0.0:8080]
  DOCKER_HOST                  The Docker engine, unix:///PATH or tcp://HOST:PORT
                               [default: unix:///var/run/docker.sock]
  AUTOGIT_REVISION             The commit of the image, shown by /status

Answers to GET:
  /health  200 while the process runs
  /ready   200 if the Docker engine answers, otherwise 503
  /status  The state of the coordinator, as JSON
";

#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Serve,
    Health,
    Help,
    Version,
}

pub fn parse(arguments: impl IntoIterator<Item = String>) -> anyhow::Result<Command> {
    let mut command = None;
    for argument in arguments {
        let next = match argument.as_str() {
            // As usual, help and version win over every other argument.
            "-h" | "--help" => return Ok(Command::Help),
            "-V" | "--version" => return Ok(Command::Version),
            "serve" => Command::Serve,
            "health" => Command::Health,
            _ => bail!("unexpected argument `{argument}`\n\nhint: runner-coordinator --help"),
        };
        if command.replace(next).is_some() {
            bail!("`{argument}` is a second command; give one\n\nhint: runner-coordinator --help");
        }
    }
    Ok(command.unwrap_or(Command::Serve))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned)).map_err(|error| error.to_string())
    }

    #[test]
    fn no_argument_means_serve() {
        assert_eq!(parsed(""), Ok(Command::Serve));
        assert_eq!(parsed("serve"), Ok(Command::Serve));
    }

    #[test]
    fn help_and_version_win_over_a_command() {
        assert_eq!(parsed("health --help"), Ok(Command::Help));
        assert_eq!(parsed("-V serve"), Ok(Command::Version));
    }

    #[test]
    fn an_unknown_argument_is_reported_with_a_hint() {
        let error = parsed("health --port").unwrap_err();
        assert_eq!(error, "unexpected argument `--port`\n\nhint: runner-coordinator --help");
    }

    #[test]
    fn two_commands_are_refused() {
        assert!(parsed("serve health").unwrap_err().starts_with("`health` is a second command"));
    }
}
