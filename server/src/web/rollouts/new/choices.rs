//! What the form lets people choose from.

use chrono::NaiveDate;
use engine::policy::Preset;
use uuid::Uuid;

use crate::store::preview::Offered;
use crate::store::sequences::Stored;
use crate::web::parts::Choice;

/// Sequences to choose from; older ones are reached from their own page.
pub const SEQUENCES: i64 = 200;

/// A preset, and what it means.
pub struct PresetChoice {
    pub choice: Choice,
    pub meaning: &'static str,
}

/// The list holds as many as it may: there can be older ones.
pub fn is_full(rows: usize) -> bool {
    usize::try_from(SEQUENCES).is_ok_and(|n| rows >= n)
}

/// Published sequences, and the one that someone came here with.
pub fn sequence_choices(published: &[Offered], chosen: Option<&Stored>) -> Vec<Choice> {
    let text = |kb: &str, title: &str, released: Option<NaiveDate>| {
        let day = released.map_or_else(
            || "no release date".to_owned(),
            |d| d.format("%-d %b %Y").to_string(),
        );
        format!("{kb}, {day}: {title}")
    };
    let id = chosen.map(|c| c.id);
    let mut choices: Vec<Choice> = published
        .iter()
        .map(|o| Choice::new(o.id, text(&o.kb, &o.title, o.released), Some(o.id) == id))
        .collect();
    // A draft, a withdrawn one or an old one that someone came here with.
    if let Some(chosen) = chosen.filter(|c| published.iter().all(|o| o.id != c.id)) {
        let sequence = &chosen.sequence;
        let text = text(
            &sequence.kb.to_string(),
            &sequence.title,
            sequence.release_date,
        );
        choices.insert(0, Choice::new(chosen.id, text, true));
    }
    choices
}

/// The whole track, or those affected by something withdrawn.
pub fn scopes(withdrawn: &[Offered], chosen: Option<Uuid>) -> Vec<Choice> {
    let whole = Choice::new("track", "Every device of the track", chosen.is_none());
    let affected = withdrawn.iter().map(|o| {
        let text = format!("Only devices affected by {}, which was withdrawn", o.kb);
        Choice::new(o.id, text, chosen == Some(o.id))
    });
    std::iter::once(whole).chain(affected).collect()
}

/// Presets, the usual one first.
pub fn presets(chosen: Preset) -> Vec<PresetChoice> {
    let all = [
        (
            Preset::Standard,
            "standard",
            "Standard",
            "A day of soak in the first ring, two in each other. Approvals before the last rings: one, then two. At most 5 % failures before everyone.",
        ),
        (
            Preset::Cautious,
            "cautious",
            "Cautious",
            "As standard, but a generation grows only when every device of the one before has ended.",
        ),
        (
            Preset::Fast,
            "fast",
            "Fast",
            "As standard, but once 299 devices are clean a ring starts at 1 % and grows fourfold.",
        ),
        (
            Preset::Expedited,
            "expedited",
            "Expedited",
            "For a repair: two approvals before the first device and none after it, four hours of soak, no failure.",
        ),
        (
            Preset::Small,
            "small",
            "Small",
            "For about 40 devices: every device has an outcome, no failure, three days of soak in each ring.",
        ),
    ];
    all.map(|(preset, value, text, meaning)| PresetChoice {
        choice: Choice::new(value, text, preset == chosen),
        meaning,
    })
    .into()
}
