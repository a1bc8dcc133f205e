//! What a request asks for, in some words.

use engine::approval::Ask;

/// What stands before and after the name of the ring in `Open Broad`, `Expedite Pilot and what follows`.
pub const fn around(ask: &Ask) -> (&'static str, &'static str) {
    match ask {
        Ask::Open => ("Open ", ""),
        Ask::Override { .. } => ("Override the gate of ", ""),
        Ask::Expedite { .. } => ("Expedite ", " and what follows"),
    }
}

/// `Open Broad`, `Override the gate of Pilot`.
pub fn subject(ask: &Ask, ring: &str) -> String {
    let (before, after) = around(ask);
    format!("{before}{ring}{after}")
}
