//! Judges what `verify` and `doctor` gathered about images, past builds and this machine. A finding that
//! needs action has a remedy to type, or a hint where no command helps.

mod attestation;
pub mod builds;
mod image;
pub mod machine;
pub mod package;
mod review;
#[cfg(test)]
mod sample;
mod size;
pub mod tags;
pub mod tiers;
