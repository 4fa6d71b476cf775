//! Releases: the version, the floating tags it moves, and the notes of the GitHub release.

mod next;
mod notes;
pub(crate) mod plan;
pub(crate) mod tags;
pub(crate) mod version;

pub use next::{NextVersion, next};
pub use notes::{announcement, changelog_section, previous};
pub use plan::{Asked, GitTag, ReleasePlan, plan, since};
pub use tags::{Floating, exact, floating};
pub use version::{published, version};
