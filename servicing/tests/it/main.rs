//! The rules of servicing, one named test each, over real and made-up sequences.

mod classes;
mod content_digest;
mod data;
mod lab;
mod manifests;
mod plan_properties;
mod planning;
mod readiness;
mod validation;
mod variants;
