//! The form, empty and with mistakes.

use chrono_tz::Tz;
use engine::policy::preset;
use engine::words::number;
use uuid::Uuid;

use super::choices::{presets, scopes, sequence_choices};
use super::page::NewRolloutPage;
use super::preview::reach;
use super::reading::{Preview, RingView, bar, rules};
use super::settings::RingSettings;
use super::typed::Typed;
use super::warnings::Warning;
use crate::store::count;
use crate::store::populations::Group;
use crate::store::preview::Offered;
use crate::web::form::Mistakes;
use crate::web::frame::main_of;
use crate::web::frame::{Frame, Nav};
use crate::web::parts::Link;
use crate::web::parts::{Choice, Class, Tally, class_words};

fn group(architecture: &str, n: i64) -> Group {
    Group {
        ring_id: Uuid::nil(),
        product: "client".to_owned(),
        base: 26100,
        ubr: 7840,
        series: "standard".to_owned(),
        edition: "Enterprise".to_owned(),
        architecture: architecture.to_owned(),
        started: false,
        n,
    }
}

fn ring(id: u128, name: &str, place: usize, typed: &Typed, n: i64) -> (RingView, Mistakes) {
    let settings = RingSettings::new(
        typed,
        Uuid::from_u128(id),
        preset(typed.preset, place, 2, Tz::Europe__Berlin),
    );
    let mut mistakes = Mistakes::none();
    for wrong in &settings.mistakes {
        let field = format!("policies.{name}.{}", wrong.field);
        mistakes.add(&field, wrong.expected.clone());
    }
    let groups = [
        (group("x64", n), "targeted".to_owned()),
        (group("arm64", 9), "not_applicable:architecture".to_owned()),
    ];
    let admitted = if n == 0 { 9 } else { count(n) + 9 };
    let reach = reach("Production", name, &groups[usize::from(n == 0)..], admitted);
    let view = RingView {
        id: Uuid::from_u128(id),
        name: name.to_owned(),
        bar: bar(name, &reach),
        reach,
        custom: settings.is_custom(),
        rules: rules(&settings.policy),
        fields: settings.fields,
    };
    (view, mistakes)
}

fn page(typed: Typed, preview: Option<Preview>, mistakes: Mistakes) -> NewRolloutPage {
    let offered = |id: u128, kb: &str| Offered {
        id: Uuid::from_u128(id),
        kb: kb.to_owned(),
        title: "2026-03 Cumulative Update".to_owned(),
        released: chrono::NaiveDate::from_ymd_opt(2026, 3, 31),
    };
    NewRolloutPage {
        frame: Frame::sample(Nav::Rollouts, "New rollout", "/rollouts/new"),
        sequences: sequence_choices(&[offered(1, "KB5086672")], None),
        cut: false,
        tracks: vec![Choice::new(Uuid::from_u128(7), "Production", true)],
        scopes: scopes(&[offered(2, "KB5079391")], typed.affected_by),
        presets: presets(typed.preset),
        ticket: typed.ticket,
        preview,
        mistakes,
        written: None,
    }
}

#[test]
fn the_form_alone_asks_for_a_sequence_and_a_track() {
    let (typed, mistakes) = Typed::read(Vec::new());
    insta::assert_snapshot!(main_of(&page(typed, None, mistakes)));
}

#[test]
fn without_a_sequence_it_says_what_to_do_first() {
    let (typed, mistakes) = Typed::read(Vec::new());
    let mut page = page(typed, None, mistakes);
    page.sequences.clear();
    insta::assert_snapshot!(main_of(&page));
}

#[test]
fn mistakes_stand_beside_their_fields_and_keep_what_was_typed() {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let pilot = Uuid::from_u128(11);
    let broad = Uuid::from_u128(12);
    let (typed, mut mistakes) = Typed::read(vec![
        field("ticket", "<b>CHG\u{7}</b>"),
        field(&format!("devices_at_once.{pilot}"), "0"),
        field(&format!("soak_hours.{broad}"), "two days"),
        field(&format!("approvals.{broad}"), "1"),
    ]);
    let (first, wrong) = ring(11, "ראשון", 0, &typed, 0);
    mistakes.0.extend(wrong.0);
    let (last, wrong) = ring(12, "Broad", 1, &typed, 1840);
    mistakes.0.extend(wrong.0);
    mistakes.add("ticket", "1 to 100 characters, or nothing");
    let preview = Preview {
        kb: "KB5086672".to_owned(),
        track: "Production".to_owned(),
        targeted: number(1840),
        whole: number(1858),
        custom: 2,
        rings: vec![first, last],
        excluded: vec![Class {
            devices: Tally::plain(2).said("2 devices"),
            words: class_words("revoked"),
            detail: String::new(),
            targeted: false,
        }],
        warnings: vec![Warning {
            sentence: "Another rollout of KB5086672 is active on this track.".to_owned(),
            link: Some(Link::new("Look at it", "/rollouts/5")),
        }],
    };
    insta::assert_snapshot!(main_of(&page(typed, Some(preview), mistakes)));
}
