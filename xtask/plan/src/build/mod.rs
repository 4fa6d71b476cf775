//! Building: one specification of a build for each service, with the reason of each choice.

mod needs;
mod options;
mod plan;
mod recipe;
mod secrets;
mod service;
mod service_plan;

pub use options::{BuildOptions, Purpose};
pub use plan::{BuildPlan, chosen_builder, must_look, plan, plan_some};
pub use recipe::Recipe;
pub use service_plan::{ServicePlan, exporting};
