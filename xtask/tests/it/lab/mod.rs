//! Tests against a real engine and registry: the lab, which `cargo xtask test` brings up.

mod adopting;
mod build;
mod ci;
mod compose;
mod damage;
mod doctor;
mod guide;
mod life;
mod prune;
mod prune_limits;
mod prune_runs;
mod prune_safety;
mod prune_scale;
mod push_cache;
mod push_gate;
mod push_races;
mod push_safety;
mod release;
mod release_github;
mod verify;
