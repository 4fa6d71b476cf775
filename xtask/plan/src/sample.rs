//! Facts for the tests of this crate and of `report`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use xtask_model::config::Config;
use xtask_model::facts::{Facts, Git, ServiceFacts};
use xtask_model::service::ServiceName;

/// A repository `o/r` at a commit, with `images` in its configuration and one service, `web`.
pub fn facts(images: &str, dockerfile: &str) -> Facts {
    let text = format!("[workspace.metadata.images]\nrepository = \"o/r\"\n{images}");
    let config = Config::parse("Cargo.toml", &text).unwrap();
    let git = Git { revision: "a".repeat(40), time: 1_767_323_045, ..Git::default() };
    Facts { git: Some(git), ..Facts::of_files(config, vec![service("web", dockerfile)]) }
}

pub fn service(name: &str, dockerfile: &str) -> ServiceFacts {
    ServiceFacts {
        name: ServiceName::new(name).unwrap(),
        folder: format!("services/{name}"),
        dockerfile: dockerfile.to_owned(),
        earlier: Vec::new(),
    }
}
