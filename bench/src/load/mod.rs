//! Load over keep-alive connections, from this process.
//!
//! Ready-made generators send the same request over and over, or one of a few; here each request carries the token and the
//! ETag of another device out of a million, and the answer's ETag is remembered. The client is as thin as can be, because
//! it takes its share of the machine from what it measures; ceilings are measured with the same client, connections and headers.

mod connection;
mod run;

pub mod permits;
pub mod polls;
pub mod telemetry;
pub mod tokens;

pub use connection::{Answer, Connection};
pub use run::{Outcome, Pace, Plan, run};

/// What is asked, and what becomes of the answers. One thread has one source.
pub trait Source: Send {
    /// Writes the next request into the empty buffer and says what it was; none when there is nothing left to ask.
    fn next(&mut self, request: &mut Vec<u8>) -> Option<u32>;

    /// The answer to what [`Source::next`] named.
    fn answered(&mut self, what: u32, answer: &Answer<'_>);
}
