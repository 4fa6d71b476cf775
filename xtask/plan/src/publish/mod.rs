//! Publishing, as decisions: what a publication asks for (`request`), what each service needs
//! (`action`), what may happen to each tag (`tags`), and the steps that follow (`steps`, `plan`).

mod action;
mod plan;
mod promotion;
pub(crate) mod request;
mod steps;
mod tags;

pub use action::{Action, Decision, action, decide, decide_again};
pub use plan::{Exposure, PublishPlan, ServicePublication, decisions, exposures, git_tag, plan};
pub use request::{Moves, PublishOptions, Request, Tags, commit, dev, dev_tag};
pub use steps::{Extent, Requires, Step, required_to_move, steps};
pub use tags::{
    Exact, Move, Overtaken, StoredSignature, exact, higher, movement, overtaken,
    overtaken_by_unknown, recheck, signature, stand_in,
};
