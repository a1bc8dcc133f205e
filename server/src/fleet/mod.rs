//! What polls read: the picture of all devices and rings in memory, and how it is kept current.
//!
//! A poll costs a token check, an array lookup and a comparison; only an answer that changed asks the database.

mod catalogue;
mod contacts;
mod picture;
mod reader;
mod seen;
mod slot;

pub use catalogue::Catalogue;
pub use contacts::Contacts;
pub use picture::{Glance, Picture, Seen};
pub use reader::{CHANNEL, FRESH_FOR, Reader};
pub use seen::flush;
