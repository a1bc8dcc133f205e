//! What both APIs share: problems, and bodies that say which field is wrong.

mod body;
mod problem;

pub use body::{Body, parse_json};
pub use problem::{Failure, problem};
