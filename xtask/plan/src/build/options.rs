//! What the command line asks of a build.

use std::collections::BTreeMap;

use xtask_model::channel::Channel;
use xtask_model::config::SecretSource;
use xtask_model::platform::Platform;
use xtask_model::reference::Tag;

/// The options of a build.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BuildOptions {
    pub services: Vec<String>,
    pub channel: Option<Channel>,
    pub builder: Option<String>,
    pub build_args: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, SecretSource>,
    pub platforms: Vec<Platform>,
    pub no_cache: bool,
    pub purpose: Purpose,
    /// The version that is released, on the release channel.
    pub version: Option<String>,
    /// The tag that a publication pushes to first.
    pub push_to: Option<Tag>,
    /// Whether the plan is only shown, which needs no engine.
    pub only_shown: bool,
}

/// What a build is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    #[default]
    Image,
    /// The image, which is then loaded and started.
    Test,
    /// BuildKit's checks of the Dockerfile, without an image.
    Check,
    /// The names of the services to build.
    Names,
}

impl Purpose {
    pub fn makes_image(self) -> bool {
        matches!(self, Self::Image | Self::Test)
    }
}
