//! What xtask knows, decides and shows: `model` holds the nouns, `plan` decides, `report` renders.
//! Nothing here touches the world; a crate of its own, so that nothing of `outside` can be reached.

pub mod model;
pub mod plan;
pub mod report;
