use std::collections::BTreeMap;

use engine::rollout::RolloutState;

use super::*;
use crate::web::frame::main_of;

fn example() -> Sequence {
    serde_json::from_str(include_str!("example.json")).unwrap()
}

fn page(state: SequenceState, used: &[RolledOut]) -> SequencePage {
    let frame = Frame::sample(Nav::Sequences, "KB5086672", "/sequences/1");
    let sequence = example();
    SequencePage {
        crumbs: vec![Link::new("KB sequences", "/sequences")],
        address: "/sequences/1".to_owned(),
        new_rollout: "/rollouts/new?sequence=1".to_owned(),
        kb: sequence.kb.to_string(),
        label: sequence.label.clone(),
        title: sequence.title.clone(),
        kind: kind(sequence.kind),
        builds: targets(&sequence),
        released: sequence.release_date.map(|d| d.to_string()),
        supersedes: vec![
            Older {
                link: Link::new("KB5079391", "/sequences/2"),
                known: Some(Chip::of_sequence(SequenceState::Withdrawn)),
            },
            Older {
                link: Link::new("KB5077181", ""),
                known: None,
            },
        ],
        issues: vec![KnownIssue {
            id: "efi".to_owned(),
            text: "Fails below 40 MB free.".to_owned(),
        }],
        digest: sequence.content_digest().to_string(),
        author: "Kai Fischer".to_owned(),
        written: frame.when(frame.now),
        published: (state != SequenceState::Draft).then(|| frame.when(frame.now)),
        state: Chip::of_sequence(state),
        is_draft: state == SequenceState::Draft,
        is_published: state == SequenceState::Published,
        may_write: true,
        may_withdraw: true,
        parts: parts(&sequence),
        missing: Vec::new(),
        signed: (state != SequenceState::Draft).then(|| Signed {
            key_id: "86cd382dd3bfe28f".to_owned(),
            state: Chip::quiet(Tone::Ok, Icon::Key, "valid"),
            revision: Some(1),
            counter: "3".to_owned(),
            expires: Some(When::day(frame.now, frame.zone)),
        }),
        pulled: None,
        on_devices: on_devices(used),
        used: used
            .iter()
            .map(|r| shown(r, "Production".to_owned()))
            .collect(),
        frame,
    }
}

fn used(track: u128, started: u64, ok: u64, resolved: u64) -> RolledOut {
    let population = [
        ("targeted", 100),
        ("complete", 3),
        ("not_applicable:series", 7),
    ];
    RolledOut {
        id: Uuid::from_u128(9),
        track: Uuid::from_u128(track),
        state: RolloutState::Active,
        listed: false,
        population: population
            .iter()
            .map(|(class, n)| ((*class).to_owned(), *n))
            .collect::<BTreeMap<_, _>>(),
        started,
        ok,
        failed: 0,
        resolved,
    }
}

#[test]
fn a_published_one_shows_its_packages_its_signature_and_where_it_is() {
    insta::assert_snapshot!(main_of(&page(
        SequenceState::Published,
        &[used(1, 40, 30, 36)]
    )));
}

#[test]
fn a_draft_says_what_is_missing() {
    let mut page = page(SequenceState::Draft, &[]);
    page.missing = missing(&example());
    page.may_withdraw = false;
    insta::assert_snapshot!(main_of(&page));
}

#[test]
fn a_withdrawn_one_says_why_and_what_replaces_it() {
    let mut page = page(SequenceState::Withdrawn, &[]);
    page.title = "x".repeat(200);
    page.issues.clear();
    page.pulled = Some(Pulled {
        by: "Ada Admin".to_owned(),
        at: Some(page.frame.when(page.frame.now)),
        reason: "0x80073712 on 4 of 9.".to_owned(),
        replacement: Some(Link::new("KB5086672", "/sequences/3")),
    });
    insta::assert_snapshot!(main_of(&page));
}

#[test]
fn devices_are_counted_once_over_several_rollouts_of_a_track() {
    let older = used(1, 10, 10, 10);
    let on = on_devices(&[used(1, 40, 30, 36), used(2, 0, 0, 0), older]).unwrap();
    let counts: Vec<(&str, u64)> = on.levels.iter().map(|l| (l.word, l.n.n)).collect();
    assert_eq!(
        counts,
        [
            ("Verified", 40),
            ("Had it before", 6),
            ("In progress", 4),
            ("Failed, hung or silent", 6),
            ("Not started", 150),
            ("Not applicable", 14),
        ]
    );
    assert!(on_devices(&[]).is_none());
}
