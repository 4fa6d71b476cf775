//! The command line: serve, or ask a server that runs whether it is well.

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Serve,
    Health,
    Help,
    Version,
}

pub const HELP: &str = "\
Starts and removes GitLab runners on demand.

Usage: runner-coordinator [serve]    serve until SIGTERM
       runner-coordinator health     exit 0 when the server here is well

AUTOGIT_COORDINATOR_ADDRESS    where to listen [0.0.0.0:8080]
DOCKER_HOST                    the engine that runners start on
                               [unix:///var/run/docker.sock]
";

impl Command {
    /// Reads the arguments after the program's name; the error says what was expected.
    pub fn of(arguments: &[String]) -> Result<Self, String> {
        match arguments {
            [] => Ok(Self::Serve),
            [one] => match one.as_str() {
                "serve" => Ok(Self::Serve),
                "health" => Ok(Self::Health),
                "--help" | "-h" => Ok(Self::Help),
                "--version" | "-V" => Ok(Self::Version),
                other => {
                    Err(format!("there is no command `{other}`; expected `serve` or `health`"))
                }
            },
            more => Err(format!("expected one command, got {}", more.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Command, String> {
        Command::of(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn without_a_command_it_serves() {
        assert_eq!(read(&[]), Ok(Command::Serve));
        assert_eq!(read(&["health"]), Ok(Command::Health));
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert!(read(&["start"]).unwrap_err().contains("`start`"));
        assert!(read(&["serve", "now"]).is_err());
    }
}
