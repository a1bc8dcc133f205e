//! Writes a decision: state, gates, requests, the decision with its inputs. Its one audit row goes to the tail.

use anyhow::Context;
use chrono::{DateTime, Utc};
use engine::approval::{Approval, RequestState};
use engine::decide::RequestChange;
use engine::stage::may_permit;
use engine::{Decision, Input, Snapshot};
use serde_json::json;
use sqlx::PgConnection;

use super::actor;
use super::tail::Tail;
use crate::error::OpError;
use crate::store::{assignments, audit, decisions, gates, requests, rollouts, to_json};

/// A decision with what it was made from.
#[derive(Clone, Copy)]
pub(super) struct Made<'a> {
    /// What was read.
    pub snapshot: &'a Snapshot,
    /// What happened.
    pub input: &'a Input,
    /// What was decided.
    pub decision: &'a Decision,
    /// What the decision fixes, where the rollout starts.
    pub fixed: Option<&'a rollouts::Fixed>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Saves a decision that changed something. Lock order: rollout, gates, requests.
pub(super) async fn save(
    conn: &mut PgConnection,
    made: Made<'_>,
    tail: &mut Tail,
) -> Result<(), OpError> {
    let Made {
        snapshot,
        input,
        decision,
        fixed,
        at,
    } = made;
    let rollout = &snapshot.rollout;
    let state = decision.rollout.as_ref().unwrap_or(&rollout.state);
    let next = rollouts::Next {
        state,
        cleared: decision.cleared.as_ref().unwrap_or(&rollout.cleared),
        reasons: &decision.reasons,
        fixed,
    };
    rollouts::save(&mut *conn, rollout, next).await?;

    let locked = gates::lock(&mut *conn, rollout.id.0).await?;
    let mut versions = Vec::new();
    for stage in &snapshot.stages {
        let next = decision
            .stages
            .iter()
            .find(|(id, _)| *id == stage.id)
            .map(|(_, s)| s);
        if let Some(next) = next {
            rollouts::save_stage(&mut *conn, stage.id, next).await?;
        }
        let policy = decision.policies.iter().find(|(id, _)| *id == stage.id);
        if let Some((_, policy)) = policy {
            rollouts::save_policy(&mut *conn, stage.id, policy).await?;
        }
        let open = may_permit(state, next.unwrap_or(&stage.state)).is_ok();
        let gate = locked
            .iter()
            .find(|g| g.stage_id == stage.id.0)
            .context("a stage without its gate")?;
        if gate.open != open {
            let version = gates::set_open(&mut *conn, stage.id.0, open).await?;
            versions.push(json!({ "stage": stage.id, "open": open, "version": version }));
        }
        // Orders follow the rollout's state too: what is in flight goes on through a pause and holds at a halt. And they tell of
        // deadlines.
        if gate.open != open || decision.rollout.is_some() || policy.is_some() {
            tail.rings.insert(stage.ring.0);
            let away = assignments::in_flight_elsewhere(&mut *conn, stage.id.0).await?;
            tail.device_nos.extend(away);
        }
    }
    for change in &decision.requests {
        save_request(&mut *conn, snapshot, change).await?;
    }
    if let Some((stage, report)) = &decision.report {
        rollouts::save_report(&mut *conn, *stage, report).await?;
    }

    let version = rollout.version + 1;
    let (input_json, decision_json) = (to_json(input)?, to_json(decision)?);
    decisions::record(
        &mut *conn,
        rollout.id,
        version,
        at,
        &input_json,
        &to_json(snapshot)?,
        &decision_json,
    )
    .await?;
    let event = decision
        .event
        .as_ref()
        .context("a changed decision without its event")?;
    let body = json!({
        "sentence": event.sentence,
        "version": version,
        "input": input_json,
        "gates": versions,
        "decision_sha256": engine::canonical::hash(&decision_json),
    });
    let entry = audit::Entry {
        at,
        actor: actor(input).map(|p| p.0),
        action: event.code.clone(),
        subject: format!("rollout:{}", rollout.id),
        body,
    };
    tail.entries.push(entry);
    Ok(())
}

async fn save_request(
    conn: &mut PgConnection,
    snapshot: &Snapshot,
    change: &RequestChange,
) -> Result<(), OpError> {
    let rollout = &snapshot.rollout;
    match change {
        RequestChange::Opened { request } => {
            requests::add(conn, rollout.id, rollout.author, request).await?;
        }
        RequestChange::Approved {
            request,
            by,
            alone,
            done,
        } => {
            let approval = Approval {
                by: *by,
                at: snapshot.service_now,
                alone: *alone,
            };
            requests::approve(&mut *conn, *request, rollout.author, approval).await?;
            if *done {
                requests::save_state(conn, *request, &RequestState::Approved).await?;
            }
        }
        RequestChange::Effective { request } => {
            requests::save_state(conn, *request, &RequestState::Approved).await?;
        }
        RequestChange::Rejected {
            request,
            by,
            reason,
        } => {
            requests::save_state(
                conn,
                *request,
                &RequestState::Rejected {
                    by: *by,
                    reason: reason.clone(),
                },
            )
            .await?;
        }
        RequestChange::Voided { request, reason } => {
            requests::save_state(conn, *request, &RequestState::Void { reason: *reason }).await?;
        }
        RequestChange::Expired { request } => {
            requests::save_state(conn, *request, &RequestState::Expired).await?;
        }
    }
    Ok(())
}
