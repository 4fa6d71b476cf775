//! The cache of a build: which tiers it reads, and which it writes. No build ever fails for its cache.

mod exports;
mod sources;

pub use exports::{Export, NotExported, When, after, exports};
pub use sources::{NEARLY_FULL, TierPlan, inert, nearly_full, of_same_inputs, sources};
