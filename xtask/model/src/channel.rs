//! The four channels of a build. `plan::channel` decides which one applies.

use serde::{Deserialize, Serialize};

/// Where a build's result goes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Loaded into the developer's engine as `PREFIX-SERVICE:local`.
    Local,
    /// Built and checked for a pull request; never pushed.
    Pr,
    /// Pushed as `dev-<sha>`, then `dev`.
    Dev,
    /// Pushed as `v1.2.3` and `<sha>`, then the floating tags.
    Release,
}

impl Channel {
    /// Whether images of this channel are pushed to a registry.
    pub fn publishes(self) -> bool {
        matches!(self, Self::Dev | Self::Release)
    }
}

impl std::fmt::Display for Channel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Local => "local",
            Self::Pr => "pr",
            Self::Dev => "dev",
            Self::Release => "release",
        })
    }
}
