//! The page: the form, and below it what it would come to.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::policy::{FailureLimit, Preset, Sample, StagePolicy, preset};
use engine::words::{devices, limit, number};
use sqlx::PgConnection;
use uuid::Uuid;

use super::preview::{Reach, by_ring, reach};
use super::settings::{Field, RingSettings};
use super::typed::Typed;
use super::warnings::{self, Older, Ring, Warning};
use crate::app::App;
use crate::auth::{Operator, kinds};
use crate::control::{NewRollout, NewScope, wrong_ticket};
use crate::http::Failure;
use crate::registry;
use crate::store::preview::{self, Offered};
use crate::store::sequences::{self, Stored};
use crate::store::tracks::{self, Track};
use crate::store::{self, count, rollouts};
use crate::web::form::Mistakes;
use crate::web::frame::{Frame, Nav};
use crate::web::parts::{Bar, Choice, Class, Slice, Tally, class_words, isolated, term};
use crate::web::problem_page::html;

/// Sequences to choose from; older ones are reached from their own page.
const SEQUENCES: i64 = 200;

/// A preset, and what it means.
pub struct PresetChoice {
    pub choice: Choice,
    pub meaning: &'static str,
}

/// One ring of the preview.
pub struct RingView {
    pub id: Uuid,
    pub name: String,
    pub bar: Bar,
    pub reach: Reach,
    pub fields: Vec<Field>,
    pub custom: bool,
    pub rules: String,
}

/// What the form comes to.
pub struct Preview {
    pub kb: String,
    pub track: String,
    pub targeted: String,
    pub whole: String,
    pub custom: usize,
    pub rings: Vec<RingView>,
    pub excluded: Vec<Class>,
    pub warnings: Vec<Warning>,
}

#[derive(Template)]
#[template(path = "pages/new_rollout.html")]
pub struct NewRolloutPage {
    frame: Frame,
    sequences: Vec<Choice>,
    /// There are older ones than the list holds.
    cut: bool,
    tracks: Vec<Choice>,
    scopes: Vec<Choice>,
    presets: Vec<PresetChoice>,
    ticket: String,
    preview: Option<Preview>,
    mistakes: Mistakes,
    written: Option<NewRollout>,
}

impl NewRolloutPage {
    /// Reads the form's lists and the preview of what was chosen. Writes nothing and locks nothing.
    pub async fn read(
        app: &App,
        caller: &Operator,
        typed: Typed,
        mut mistakes: Mistakes,
    ) -> Result<Self, Failure> {
        if let Some(track) = typed.track {
            caller.clone().on(track)?;
        }
        let person = caller.caller().clone();
        let mut tx = store::reading(&app.pool).await?;
        let mut tracks = tracks::all(&mut tx).await?;
        tracks.retain(|t| person.may::<kinds::Operator>(t.id));
        let published = preview::sequences(&mut tx, false, SEQUENCES).await?;
        let withdrawn = preview::sequences(&mut tx, true, SEQUENCES).await?;
        let chosen = match typed.sequence {
            Some(id) => sequences::by_id(&mut tx, id).await?,
            None => None,
        };
        if typed.sequence.is_some() && chosen.is_none() {
            mistakes.add("sequence", "a sequence that is there");
        }
        let track = tracks.iter().find(|t| Some(t.id) == typed.track);
        if typed.track.is_some() && track.is_none() {
            mistakes.add("track", "a track that is there");
        }
        if !typed.ticket.is_empty() {
            mistakes.0.extend(wrong_ticket(&typed.ticket));
        }
        let mut shown = None;
        let mut written = None;
        if let (Some(track), Some(sequence)) = (track, &chosen) {
            let reading = Reading {
                app,
                typed: &typed,
                admin: person.may::<kinds::Admin>(track.id),
            };
            let (read, policies) = reading
                .preview(&mut tx, track, sequence, &mut mistakes)
                .await?;
            shown = Some(read);
            written = Some(NewRollout {
                sequence: sequence.id,
                track: track.id,
                preset: typed.preset,
                scope: typed
                    .affected_by
                    .map_or(NewScope::Track, NewScope::AffectedBy),
                ticket: Some(typed.ticket.clone()).filter(|t| !t.is_empty()),
                policies,
            });
        }
        drop(tx);
        let zone = track.map(|t| t.time_zone);
        let frame = Frame::read(
            app,
            &person,
            Nav::Rollouts,
            "New rollout",
            "/rollouts/new",
            zone,
        );
        Ok(Self {
            frame: frame.await?,
            cut: is_full(published.len()),
            sequences: sequence_choices(&published, chosen.as_ref()),
            tracks: tracks
                .iter()
                .map(|t| Choice::new(t.id, &t.name, Some(t.id) == typed.track))
                .collect(),
            scopes: scopes(&withdrawn, typed.affected_by),
            presets: presets(typed.preset),
            ticket: typed.ticket,
            preview: shown,
            written: written.filter(|_| mistakes.is_empty()),
            mistakes,
        })
    }

    /// The rollout, where the form is complete and nothing in it is wrong.
    pub fn written(&self) -> Option<NewRollout> {
        self.written.clone()
    }

    /// The same page with what an operation found wrong.
    pub fn with(mut self, mistakes: Mistakes) -> Self {
        self.mistakes.0.extend(mistakes.0);
        self
    }

    /// Asks; 422 where something is wrong.
    pub fn response(&self) -> Response {
        let status = if self.mistakes.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        (status, html(self)).into_response()
    }

    /// What is wrong with a setting of a ring.
    fn wrong(&self, ring: &str, field: &Field) -> Option<&str> {
        self.mistakes
            .of(&format!("policies.{ring}.{}", field.setting.field()))
    }
}

/// What a preview is made from.
struct Reading<'a> {
    app: &'a App,
    typed: &'a Typed,
    admin: bool,
}

impl Reading<'_> {
    /// The preview, and the policies that differ from the preset.
    async fn preview(
        &self,
        conn: &mut PgConnection,
        track: &Track,
        sequence: &Stored,
        mistakes: &mut Mistakes,
    ) -> Result<(Preview, BTreeMap<String, StagePolicy>), Failure> {
        let listed = self.listed(&mut *conn, track.id, mistakes).await?;
        let content = &sequence.sequence;
        let counted =
            registry::preview_population(&mut *conn, track.id, listed.as_deref(), content).await?;
        let groups = by_ring(counted);
        let statuses = tracks::device_counts(&mut *conn, track.id).await?;
        let mut rings = tracks::rings(&mut *conn, track.id).await?;
        if listed.is_some() {
            rings.retain(|r| groups.contains_key(&r.id));
        }
        let (mut views, mut policies, mut presets) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (place, ring) in rings.iter().enumerate() {
            let default = preset(self.typed.preset, place, rings.len(), track.time_zone);
            let settings = RingSettings::new(self.typed, ring.id, default);
            for wrong in &settings.mistakes {
                let field = format!("policies.{}.{}", ring.name, wrong.field);
                mistakes.add(&field, wrong.expected.clone());
            }
            let of_ring = groups.get(&ring.id).map_or(&[][..], Vec::as_slice);
            let admitted = statuses
                .iter()
                .filter(|(of, status, _)| *of == ring.id && status == "admitted")
                .map(|(_, _, n)| count(*n))
                .sum();
            let reach = reach(&track.name, &ring.name, of_ring, admitted);
            let custom = settings.is_custom();
            if custom {
                policies.insert(ring.name.clone(), settings.policy);
            }
            views.push(RingView {
                id: ring.id,
                bar: bar(&ring.name, &reach),
                name: ring.name.clone(),
                reach,
                fields: settings.fields,
                custom,
                rules: rules(&settings.policy),
            });
            presets.push((settings.policy, default));
        }
        let kb = content.kb.to_string();
        let mut warnings = Vec::from_iter(warnings::of_sequence(sequence.state, &kb));
        for (stored, when) in self
            .app
            .control
            .would_give_way(&mut *conn, track.id, content)
            .await?
        {
            let older = self
                .app
                .catalogue
                .get(&mut *conn, stored.rollout.digest)
                .await?;
            let older_kb = older.map_or_else(|| "another update".to_owned(), |s| s.kb.to_string());
            warnings.push(warnings::of_older(&Older {
                same: older_kb == kb,
                same_content: stored.rollout.digest == sequence.digest,
                kb: older_kb,
                stored,
                when,
            }));
        }
        let judged: Vec<Ring<'_>> = views
            .iter()
            .zip(&presets)
            .map(|(view, (policy, preset))| Ring {
                name: isolated(&view.name),
                reach: &view.reach,
                policy,
                preset,
            })
            .collect();
        warnings.extend(warnings::of_rings(&judged, content, self.admin));
        let excluded = excluded(&statuses, track, listed.as_deref());
        let read = Preview {
            kb,
            track: track.name.clone(),
            targeted: number(views.iter().map(|v| v.reach.targeted).sum()),
            whole: number(views.iter().map(|v| v.reach.whole).sum()),
            custom: views.iter().filter(|v| v.custom).count(),
            rings: views,
            excluded,
            warnings,
        };
        Ok((read, policies))
    }

    /// Devices that a withdrawn sequence affected; none: it is for the whole track.
    async fn listed(
        &self,
        conn: &mut PgConnection,
        track: Uuid,
        mistakes: &mut Mistakes,
    ) -> Result<Option<Vec<i32>>, Failure> {
        let Some(id) = self.typed.affected_by else {
            return Ok(None);
        };
        let Some(withdrawn) = sequences::by_id(&mut *conn, id).await? else {
            mistakes.add("scope", "a sequence that is there");
            return Ok(Some(Vec::new()));
        };
        let kb = withdrawn.sequence.kb.to_string();
        Ok(Some(rollouts::affected(conn, track, &kb, id).await?))
    }
}

/// Devices of the track that are in no count, and why.
fn excluded(statuses: &[(Uuid, String, i64)], track: &Track, listed: Option<&[i32]>) -> Vec<Class> {
    let mut by_status: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, status, n) in statuses {
        *by_status.entry(status).or_default() += count(*n);
    }
    let mut classes = Vec::new();
    for status in ["awaiting_approval", "revoked"] {
        let n = by_status.get(status).copied().unwrap_or(0);
        if n > 0 {
            let terms = [term("track", &track.name), format!("status:{status}")];
            classes.push(Class {
                devices: Tally::found(n, &terms).said(devices(n)),
                words: class_words(status),
                detail: String::new(),
                targeted: false,
            });
        }
    }
    if let Some(listed) = listed {
        let admitted = by_status.get("admitted").copied().unwrap_or(0);
        let listed = u64::try_from(listed.len()).unwrap_or(u64::MAX);
        let n = admitted.saturating_sub(listed);
        classes.push(Class {
            devices: Tally::plain(n).said(devices(n)),
            words: class_words("not_listed"),
            detail: String::new(),
            targeted: false,
        });
    }
    classes
}

fn bar(ring: &str, reach: &Reach) -> Bar {
    let slice = |word, class, n| Slice {
        word,
        class,
        n,
        hatched: false,
    };
    let have = |words: &[&str]| {
        let of = reach.classes.iter().filter(|c| words.contains(&c.words));
        of.map(|c| c.devices.n).sum()
    };
    let done: u64 = have(&[class_words("complete"), class_words("ahead")]);
    let slices = [
        slice("offered", "f-run", reach.targeted),
        slice("done already", "f-ok", done),
    ];
    Bar::new(ring, &slices, reach.whole, "thin")
}

/// What the gate of a ring asks for beside what is set here.
fn rules(policy: &StagePolicy) -> String {
    let sample = match policy.sample {
        Sample::All => "every device".to_owned(),
        Sample::AtLeast(n) => devices(n),
    };
    let failures = match policy.failures {
        FailureLimit::None => "no failure".to_owned(),
        FailureLimit::Bound(p) => format!("at most {} failures", limit(p.0)),
    };
    format!("Passes with the outcomes of {sample} and {failures}.")
}

fn is_full(rows: usize) -> bool {
    usize::try_from(SEQUENCES).is_ok_and(|n| rows >= n)
}

fn sequence_choices(published: &[Offered], chosen: Option<&Stored>) -> Vec<Choice> {
    let text = |kb: &str, title: &str, released: Option<chrono::NaiveDate>| {
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

fn scopes(withdrawn: &[Offered], chosen: Option<Uuid>) -> Vec<Choice> {
    let whole = Choice::new("track", "Every device of the track", chosen.is_none());
    let affected = withdrawn.iter().map(|o| {
        let text = format!("Only devices affected by {}, which was withdrawn", o.kb);
        Choice::new(o.id, text, chosen == Some(o.id))
    });
    std::iter::once(whole).chain(affected).collect()
}

fn presets(chosen: Preset) -> Vec<PresetChoice> {
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

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::store::populations::Group;
    use crate::web::frame::main_of;
    use crate::web::parts::Link;

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
}
