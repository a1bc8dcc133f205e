//! Values that cannot be wrong: parsed once at the edge, then passed as types. What they mean together is
//! left to `facts`, `ledger` and `sequence`.

mod build;
mod hash;
mod hresult;
mod kb;
mod platform;

pub use build::{Build, Family};
pub use hash::{Sha1, Sha256};
pub use hresult::HResult;
pub use kb::KbNumber;
pub use platform::{Architecture, Edition, Product, Series};
