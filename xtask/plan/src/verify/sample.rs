//! Facts for the tests of this folder.

use xtask_model::facts::{Facts, Git};

pub const REVISION: &str = "1111111111111111111111111111111111111111";

/// A repository `o/r` with one service `web`, and `images` in its configuration.
pub fn facts(images: &str) -> Facts {
    let git = Git { revision: REVISION.to_owned(), ..Git::default() };
    Facts { git: Some(git), ..crate::sample::facts(images, "FROM scratch\n") }
}
