//! What `build` takes.

use std::str::FromStr;

use clap::Args;

use crate::model::channel::Channel;
use crate::model::config::{SecretSource, secret_source};
use crate::model::platform::Platform;
use crate::options::Progress;

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
    use super::*;

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
