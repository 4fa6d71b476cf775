//! Builds the services of a plan for `build`, `push` and `release`: attempts, the smoke test, the export of
//! the cache, the explanation of a failure, and the record of each build.

mod attempts;
mod builds;
mod cache_export;
pub mod checks;
mod explanation;
mod run;

pub use builds::Builds;
pub use run::Run;
