//! Reads the preview: rings with their devices and policies, who is not counted, what stands against it.

use std::collections::BTreeMap;

use engine::policy::{FailureLimit, Sample, StagePolicy, preset};
use engine::words::{devices, limit, number};
use sqlx::PgConnection;
use uuid::Uuid;

use super::preview::{Reach, by_ring, reach};
use super::settings::{Field, RingSettings};
use super::typed::Typed;
use super::warnings::{self, Older, Ring, Warning};
use crate::app::App;
use crate::http::Failure;
use crate::registry;
use crate::store::sequences::{self, Stored};
use crate::store::tracks::{self, Track};
use crate::store::{device_kinds, holds, rollouts};
use crate::web::form::Mistakes;
use crate::web::parts::{Bar, Class, Slice, Tally, class_words, isolated, term};

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

/// What a preview is made from.
pub struct Reading<'a> {
    pub app: &'a App,
    pub typed: &'a Typed,
    /// Whoever writes is an admin of the track.
    pub admin: bool,
}

impl Reading<'_> {
    /// The preview, and the policies that differ from the preset.
    pub async fn preview(
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
        let statuses = device_kinds::by_status(&mut *conn, track.id).await?;
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
                .map(|(_, _, n)| *n)
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
        let holds = holds::on(&mut *conn, &[track.id]).await?;
        let about = holds
            .iter()
            .filter(|h| h.rollout.is_none() && h.digest.is_none_or(|d| d == sequence.digest));
        warnings.extend(about.map(|h| warnings::of_hold(&h.hold, &track.name)));
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
fn excluded(statuses: &[(Uuid, String, u64)], track: &Track, listed: Option<&[i32]>) -> Vec<Class> {
    let mut by_status: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, status, n) in statuses {
        *by_status.entry(status).or_default() += *n;
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

pub fn bar(ring: &str, reach: &Reach) -> Bar {
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
pub fn rules(policy: &StagePolicy) -> String {
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
