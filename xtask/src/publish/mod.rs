//! Publishing, as effects: the story (`pipeline`), what must hold before it (`preflight`), when each step
//! runs (`apply`), what it does (`steps`), and what the steps use.

mod apply;
mod github_release;
mod pipeline;
mod preflight;
mod release_facts;
mod release_tags;
mod signing;
mod steps;
mod tag_writer;

pub use pipeline::Pipeline;
pub use release_facts::gather as gather_release;
pub use tag_writer::{TagWriter, again};
