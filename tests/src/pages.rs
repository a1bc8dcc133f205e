//! All pages, and who may open them.

mod routes;

pub use routes::{OPEN, PAGES, pages_in_sources};
