//! All pages, and who may open them.

mod routes;

pub use routes::{ENDS, OPEN, PAGES, pages_in_sources};
