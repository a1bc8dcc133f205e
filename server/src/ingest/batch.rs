//! One transaction of a lane. Lock order: cursors ascending, which cover assignments, evidence by key, lane, audit head.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use engine::assignment::{Deadlines, Powered, Report, State, Times, fold, judge};
use engine::evidence::Delta;
use serde_json::json;
use servicing::Sha256;
use sqlx::PgConnection;
use uuid::Uuid;

use super::cursor::{self, Cursor};
use super::report::ParsedEvent;
use super::{Receipt, Shared, Work};
use crate::store::assignments::{self, Stored};
use crate::store::events::{self, NewEvent};
use crate::store::{audit, changes, devices, evidence, service_clock, silences, standing};

/// What a committed batch tells its lane.
pub(super) struct Committed {
    /// One answer per piece of work, in order.
    pub receipts: Vec<Receipt>,
    /// For the local picture.
    pub announced: changes::Announced,
    /// Counters changed.
    pub outcomes: bool,
}

/// Stage of a ring in a rollout.
struct StageOf {
    stage: Uuid,
    open: bool,
}

/// What holds for all devices of a rollout.
struct Rules {
    digest: Sha256,
    deadlines: Deadlines,
}

struct Batch {
    received_at: DateTime<Utc>,
    service_now: DateTime<Utc>,
    stages: HashMap<(Uuid, Uuid), StageOf>,
    rules: HashMap<Uuid, Rules>,
    assignments: BTreeMap<(i32, Uuid), Stored>,
    touched: HashSet<(i32, Uuid)>,
    /// Of those, the ones that have no row yet.
    first: HashSet<(i32, Uuid)>,
    rows: events::Rows,
    evidence: evidence::Changes,
    falls: Vec<silences::Fall>,
    before: standing::Before,
}

/// Takes in a batch.
pub(super) async fn commit(
    shared: &Shared,
    lane: i16,
    work: &[&Work],
) -> anyhow::Result<Committed> {
    let mut tx = shared.pool.begin().await?;
    let mut device_nos: Vec<i32> = work.iter().map(|w| w.device_no()).collect();
    device_nos.sort_unstable();
    let mut cursors = cursor::lock(&mut tx, &device_nos).await?;
    let place: HashMap<i32, usize> = cursors
        .iter()
        .enumerate()
        .map(|(i, c)| (c.device_no, i))
        .collect();
    let received_at = shared.clock.now();
    let service_now = service_clock::time(&mut tx, received_at).await?;

    let compared: Vec<events::Stretch> = work
        .iter()
        .filter_map(|w| match w {
            Work::Events(s) => cursor::compared_with(&cursors[*place.get(&s.device_no)?], s),
            Work::Deadline { .. } => None,
        })
        .collect();
    let stored = events::hashes(&mut tx, &compared).await?;

    let mut receipts = Vec::with_capacity(work.len());
    let mut news: Vec<&[ParsedEvent]> = Vec::with_capacity(work.len());
    let mut clones = Vec::new();
    for w in work {
        let new = match (w, place.get(&w.device_no())) {
            (_, None) => Err(Receipt::Revoked),
            (Work::Deadline { .. }, Some(_)) => Ok(&[][..]),
            (Work::Events(s), Some(i)) => {
                let stored = stored.get(&s.device_no).map_or(&[][..], Vec::as_slice);
                cursor::accept(&mut cursors[*i], s, stored)
            }
        };
        if let Err(Receipt::Clone { .. }) = new {
            clones.push(w.device_no());
        }
        receipts.push(new.as_ref().err().copied());
        news.push(new.unwrap_or_default());
    }

    let mut batch = load(&mut tx, work, &news, received_at, service_now).await?;
    for ((w, new), receipt) in work.iter().zip(&news).zip(&mut receipts) {
        let Some(cursor) = place.get(&w.device_no()).map(|i| &mut cursors[*i]) else {
            continue;
        };
        match w {
            Work::Events(_) => {
                if receipt.is_none() {
                    cursor.heard_at = service_now;
                }
                for event in *new {
                    batch.take(cursor, event);
                }
            }
            Work::Deadline {
                rollout,
                contact_at,
                ..
            } => batch.judge(cursor, *rollout, *contact_at),
        }
        receipt.get_or_insert(Receipt::Acked {
            epoch: cursor.epoch,
            acked: cursor.acked,
        });
    }

    let announced = batch.save(&mut tx, lane, &cursors).await?;
    tx.commit().await?;
    // On its own: it locks a device's row, which the registry locks before cursor and lane. When it fails, the
    // clone's next report tries again.
    for device_no in clones {
        if let Err(error) = report_clone(shared, device_no, received_at).await {
            tracing::error!(%error, device_no, "a clone could not be marked");
        }
    }
    let outcomes = batch
        .evidence
        .values()
        .any(|c| *c != evidence::Change::default());
    Ok(Committed {
        receipts: receipts.into_iter().flatten().collect(),
        announced,
        outcomes,
    })
}

async fn load(
    conn: &mut PgConnection,
    work: &[&Work],
    news: &[&[ParsedEvent]],
    received_at: DateTime<Utc>,
    service_now: DateTime<Utc>,
) -> anyhow::Result<Batch> {
    let mut pairs: HashSet<(i32, Uuid)> = HashSet::new();
    for (w, new) in work.iter().zip(news) {
        pairs.extend(
            new.iter()
                .filter_map(|e| e.report.as_ref())
                .map(|(r, _)| (w.device_no(), *r)),
        );
        if let Work::Deadline {
            rollout, device_no, ..
        } = w
        {
            pairs.insert((*device_no, *rollout));
        }
    }
    let (device_nos, rollouts): (Vec<i32>, Vec<Uuid>) = pairs.into_iter().unzip();
    let mut batch = Batch {
        received_at,
        service_now,
        stages: HashMap::new(),
        rules: HashMap::new(),
        assignments: BTreeMap::new(),
        touched: HashSet::new(),
        first: HashSet::new(),
        rows: events::Rows::default(),
        evidence: evidence::Changes::new(),
        falls: Vec::new(),
        before: standing::Before::default(),
    };
    if device_nos.is_empty() {
        return Ok(batch);
    }
    for stored in assignments::of_pairs(&mut *conn, &rollouts, &device_nos).await? {
        batch
            .assignments
            .insert((stored.device_no, stored.rollout), stored);
    }
    batch.before = batch.assignments.values().collect();
    let mut rollouts = rollouts;
    rollouts.sort_unstable();
    rollouts.dedup();
    let stages = sqlx::query!(
        "SELECT s.rollout_id, s.ring_id, s.id, r.digest, r.overdue_after_s, g.open FROM stage s JOIN rollout r ON r.id = s.rollout_id
         JOIN stage_gate g ON g.stage_id = s.id WHERE s.rollout_id = ANY($1)",
        &rollouts,
    )
    .fetch_all(conn)
    .await?;
    for row in stages {
        if let Entry::Vacant(rules) = batch.rules.entry(row.rollout_id) {
            let usual = Deadlines::default();
            rules.insert(Rules {
                digest: crate::store::sha256(&row.digest)?,
                deadlines: Deadlines {
                    overdue_s: row.overdue_after_s.unwrap_or(usual.overdue_s),
                    ..usual
                },
            });
        }
        batch.stages.insert(
            (row.rollout_id, row.ring_id),
            StageOf {
                stage: row.id,
                open: row.open,
            },
        );
    }
    Ok(batch)
}

impl Batch {
    fn log(
        &mut self,
        cursor: &mut Cursor,
        (epoch, seq): (i32, i64),
        kind: &str,
        hash: i64,
        body: &str,
    ) {
        cursor.event_no += 1;
        cursor.changed = true;
        self.rows.push(&NewEvent {
            received_at: self.received_at,
            device_no: cursor.device_no,
            event_no: cursor.event_no,
            epoch,
            seq,
            kind,
            hash,
            body,
        });
    }

    fn take(&mut self, cursor: &mut Cursor, event: &ParsedEvent) {
        let number = (cursor.epoch, event.seq);
        cursor.powered_s = cursor.powered_s.max(event.powered_s);
        self.log(cursor, number, &event.kind, event.hash, &event.body);
        let Some((rollout, report)) = event.report else {
            return;
        };
        let key = (cursor.device_no, rollout);
        if !self.assignments.contains_key(&key) {
            // The first report pins the device to its ring's stage, once that ring is open; else there is nothing to report on.
            let Some(stage) = self
                .stages
                .get(&(rollout, cursor.ring_id))
                .filter(|s| s.open)
            else {
                return;
            };
            self.assignments.insert(
                key,
                Stored::offered(rollout, cursor.device_no, stage.stage, self.service_now),
            );
            self.touched.insert(key);
            self.first.insert(key);
        }
        if let Some(not_ready) = &event.not_ready
            && let Some(stored) = self.assignments.get_mut(&key)
            && stored.not_ready != *not_ready
        {
            stored.not_ready.clone_from(not_ready);
            self.touched.insert(key);
        }
        self.fold(cursor, key, report);
        self.watch(key);
    }

    /// A device that was given up as lost and reports again is watched again.
    fn watch(&mut self, key: (i32, Uuid)) {
        let Some(stored) = self.assignments.get_mut(&key) else {
            return;
        };
        if stored.assignment.state.is_watched() && stored.due_at.is_none() {
            stored.due_at =
                Some(self.service_now + TimeDelta::seconds(Deadlines::default().hang_s));
            self.touched.insert(key);
        }
    }

    /// What the report changes for the counters.
    fn fold(&mut self, cursor: &Cursor, key: (i32, Uuid), report: Report) -> Delta {
        let Some(stored) = self.assignments.get_mut(&key) else {
            return Delta::default();
        };
        let folded = fold(&stored.assignment, &report);
        if folded.progress {
            stored.progress_at = self.service_now;
            stored.progress_powered_s = Some(cursor.powered_s);
        }
        if folded.next != stored.assignment || folded.progress {
            self.touched.insert(key);
        }
        if folded.next.state.is_outcome() {
            stored.due_at = None;
        }
        if folded.next.state == State::Succeeded && folded.progress {
            stored.took_s = stored.permit_powered_s.map(|at_permit| {
                Powered::between(at_permit, at_permit, cursor.powered_s, self.service_now)
                    .since_permit_s
            });
        }
        stored.assignment = folded.next;
        // Counters are of permitted devices alone.
        if !folded.delta.is_zero()
            && stored.assignment.started
            && let Some(rules) = self.rules.get(&key.1)
        {
            evidence::add(
                &mut self.evidence,
                rules.digest,
                stored.stage,
                &stored.cohorts,
                |c| c.add(folded.delta),
            );
        }
        folded.delta
    }

    /// What a device's silence says. Judged until nothing more is due: an outage may have held several back.
    fn judge(&mut self, cursor: &mut Cursor, rollout: Uuid, contact_at: Option<DateTime<Utc>>) {
        let key = (cursor.device_no, rollout);
        let rules = self.rules.get(&rollout);
        let deadlines = rules.map_or_else(Deadlines::default, |r| r.deadlines);
        loop {
            let Some(stored) = self.assignments.get_mut(&key) else {
                return;
            };
            self.touched.insert(key);
            let Some(permitted_at) = stored.permitted_at else {
                stored.due_at = None;
                return;
            };
            let heard = contact_at.map_or(cursor.heard_at, |c| c.max(cursor.heard_at));
            let times = Times {
                permitted_at,
                progress_at: stored.progress_at,
                contact_at: heard,
                powered: stored.permit_powered_s.map(|at_permit| {
                    let at_progress = stored.progress_powered_s.unwrap_or(at_permit);
                    Powered::between(at_permit, at_progress, cursor.powered_s, cursor.heard_at)
                }),
            };
            let (report, due) = judge(&stored.assignment, &times, &deadlines, self.service_now);
            stored.due_at = due;
            let Some(report) = report else { return };
            let kind = match report {
                Report::Overdue => "overdue",
                Report::HangSuspected => "hang_suspected",
                Report::Lost => "lost",
                Report::RepairGivenUp => "repair_given_up",
                _ => return,
            };
            let body = json!({ "rollout": rollout }).to_string();
            self.log(cursor, (0, 0), kind, 0, &body);
            if self.fold(cursor, key, report).silent > 0 {
                self.falls.push(silences::Fall {
                    rollout,
                    device_no: Some(cursor.device_no),
                    devices: 1,
                    since: heard.max(permitted_at),
                });
            }
        }
    }

    async fn save(
        &mut self,
        conn: &mut PgConnection,
        lane: i16,
        cursors: &[Cursor],
    ) -> anyhow::Result<changes::Announced> {
        cursor::save(&mut *conn, cursors).await?;
        let touched = || {
            self.assignments
                .iter()
                .filter(|(k, _)| self.touched.contains(k))
        };
        let rows = |first: bool| -> Vec<&Stored> {
            let rows = touched().filter(|(k, _)| self.first.contains(k) == first);
            rows.map(|(_, s)| s).collect()
        };
        assignments::add(&mut *conn, &rows(true)).await?;
        assignments::save_reported(&mut *conn, &rows(false)).await?;
        events::append(&mut *conn, &self.rows).await?;
        evidence::apply(&mut *conn, lane, &self.evidence).await?;
        let lost = TimeDelta::seconds(Deadlines::default().lost_s);
        silences::add(&mut *conn, &mut self.falls, lost).await?;
        let changes =
            standing::Changes::of(&self.before, &touched().map(|(_, s)| s).collect::<Vec<_>>());
        standing::apply(&mut *conn, lane, changes).await?;
        let changed: Vec<i32> = touched().map(|(k, _)| k.0).collect();
        Ok(changes::announce_devices(&mut *conn, &changed, false).await?)
    }
}

/// Marks a device as cloned, with its audit row.
async fn report_clone(shared: &Shared, device_no: i32, at: DateTime<Utc>) -> anyhow::Result<()> {
    let mut tx = shared.pool.begin().await?;
    if !devices::suspect_clone(&mut tx, device_no).await? {
        return Ok(());
    }
    if let Some(device) = devices::by_no(&mut tx, device_no).await? {
        let entry = audit::Entry {
            at,
            actor: None,
            action: "clone_suspected".into(),
            subject: format!("device:{}", device.id),
            body: json!({ "host_name": device.identity.host_name, "sentence": "Other content came under a number that was acknowledged." }),
        };
        audit::append(&mut tx, &entry).await?;
    }
    tx.commit().await?;
    Ok(())
}
