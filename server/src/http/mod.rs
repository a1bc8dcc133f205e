//! What APIs and pages share: problems, and input that is parsed strictly and says which field is wrong.

mod body;
mod extract;
mod problem;

pub use body::{Body, parse_json};
pub use extract::{All, At, Because, Page, Query, Why, limit};
pub use problem::{Failure, busy, problem};
