//! What to do next: which platform action, which HTTP call, and when to wake up.

use std::time::Duration;

use agent_protocol::{EventKind, Order, PermitRequest};
use chrono::TimeDelta;

use super::{
    ActionKind, Attended, Call, CallKind, Core, Effect, Phase, Request, Stage, Token, identity,
};
use crate::inventory;

/// A token is renewed a minute before its end, so that it does not end under way.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// Permits are asked at most an hour before the agreed restart: what is installed and not restarted can not be recalled.
const PERMIT_AHEAD: TimeDelta = TimeDelta::hours(1);

impl Core {
    /// When the core wants [`super::Input::Wake`], on the steady clock; none while only an answer can move it.
    #[must_use]
    pub fn next_wake(&self) -> Option<Duration> {
        if self.stopped.is_some() || self.reading.is_none() {
            return None;
        }
        let calls = || {
            let due = self.call_due()?.1.max(self.backoff.until());
            self.call.is_none().then_some(due)
        };
        [
            calls(),
            self.heartbeat_due(),
            self.restart_due(),
            self.removal_due(),
            self.fetch_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Start whatever is due.
    pub(super) fn advance(&mut self) {
        if self.stopped.is_some() || self.reading.is_none() {
            return;
        }
        self.heartbeat();
        if self.action.is_none() {
            self.pursue();
        }
        if self.call.is_none()
            && self.now.steady >= self.backoff.until()
            && let Some((kind, due)) = self.call_due()
            && due <= self.now.steady
        {
            self.place(kind);
        }
    }

    /// Busy with something that must not be disturbed by another order.
    fn is_servicing(&self) -> bool {
        use ActionKind::{Install, Remediate, Remove, Restart};
        matches!(self.action, Some(Install | Remove | Remediate | Restart))
    }

    /// The next call and when it is due. What was noted is reported before more is asked.
    fn call_due(&self) -> Option<(CallKind, Duration)> {
        let wanted = if self.state.is_none() {
            (CallKind::Enrol, Duration::ZERO)
        } else {
            let inventory = self.inventory.is_due() && !self.is_servicing();
            let poll = (!self.is_servicing()).then_some(self.poll_at);
            [
                (
                    CallKind::Events,
                    (!self.outbox.is_empty()).then_some(Duration::ZERO),
                ),
                (
                    CallKind::Manifest,
                    self.wants_manifest().then_some(Duration::ZERO),
                ),
                (CallKind::Inventory, inventory.then_some(Duration::ZERO)),
                (CallKind::Token, self.token_for_fetch_due()),
                (CallKind::Permit, self.permit_due()),
                (CallKind::Poll, poll),
            ]
            .into_iter()
            .filter_map(|(kind, due)| Some((kind, due?)))
            .min_by_key(|(_, due)| *due)?
        };
        Some(self.with_credentials(wanted))
    }

    /// The call itself, or the one that has to come before it.
    fn with_credentials(&self, (kind, due): (CallKind, Duration)) -> (CallKind, Duration) {
        let needs_nonce = match kind {
            CallKind::Enrol | CallKind::Token => true,
            _ if self.bearer().is_some() => return (kind, due),
            _ => false,
        };
        match (&self.nonce, needs_nonce) {
            (None, _) => (CallKind::Nonce, due),
            (Some(_), true) => (kind, due),
            (Some(_), false) => (CallKind::Token, due),
        }
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        let token = self.token.as_ref()?;
        (self.now.steady < token.until).then_some(token.bearer.as_str())
    }

    pub(super) fn keep_token(&mut self, bearer: String, expires_in_s: u32) {
        let life = Duration::from_secs(expires_in_s.into());
        // A token that lives shorter than the margin would otherwise be renewed without end.
        let use_for = life.saturating_sub(RENEW_BEFORE).max(life / 2);
        self.token = Some(Token {
            bearer,
            until: self.now.steady + use_for,
        });
    }

    fn place(&mut self, kind: CallKind) {
        let bearer = self.bearer().map(str::to_owned);
        let Some(call) = self.build(kind) else { return };
        self.call = Some(kind);
        let bearer =
            bearer.filter(|_| !matches!(kind, CallKind::Nonce | CallKind::Enrol | CallKind::Token));
        self.emit(Effect::Call(Request { call, bearer }));
    }

    fn build(&mut self, kind: CallKind) -> Option<Call> {
        let server_time = self.server_time();
        Some(match kind {
            CallKind::Nonce => Call::Nonce,
            CallKind::Enrol => {
                let inventory = inventory::of(self.reading.as_deref()?);
                Call::Enrol(Box::new(identity::enrol_request(
                    &self.config.key,
                    self.nonce.take()?,
                    self.config.enrolment_token.clone(),
                    self.config.agent_version.clone(),
                    inventory,
                )))
            }
            CallKind::Token => Call::Token(identity::token_request(
                &self.config.key,
                &self.state.as_ref()?.identity,
                &self.nonce.take()?,
                server_time,
                &mut self.rng,
            )),
            CallKind::Poll => Call::Poll {
                etag: self.etag.clone(),
            },
            CallKind::Permit => {
                let job = self.job()?;
                let Phase::Agreed { at } = job.phase else {
                    return None;
                };
                let restart_in_s = (at - server_time).num_seconds().max(0);
                Call::Permit(PermitRequest {
                    rollout: job.rollout,
                    restart_in_s: u32::try_from(restart_in_s).unwrap_or(u32::MAX),
                })
            }
            CallKind::Inventory => {
                Call::Inventory(Box::new(inventory::of(self.reading.as_deref()?)))
            }
            CallKind::Events => {
                Call::Events(self.outbox.batch(self.state.as_ref()?.identity.incarnation))
            }
            CallKind::Manifest => Call::Manifest {
                digest: self.job()?.digest.clone(),
            },
        })
    }

    /// A permit is asked for by order, when a restart is agreed, and not earlier than an hour before it.
    fn permit_due(&self) -> Option<Duration> {
        let job = self.job()?;
        let Phase::Agreed { at } = job.phase else {
            return None;
        };
        let ordered = matches!(
            &self.order,
            Some(Order::RequestPermit { rollout } | Order::RunStep { rollout, .. }) if *rollout == job.rollout
        );
        let asked = ordered && self.attended == Attended::No && self.action.is_none();
        let earliest = self.time.steady(at - PERMIT_AHEAD, self.now);
        asked.then_some(earliest.max(self.permit_at))
    }

    /// A restart that was ordered waits for the time that people agreed to.
    pub(super) fn restart_due(&self) -> Option<Duration> {
        let job = self.job()?;
        let Phase::Step {
            at,
            step,
            stage: Stage::Done { restart: true, .. } | Stage::Restarting { .. },
            ..
        } = &job.phase
        else {
            return None;
        };
        let ordered = matches!(
            &self.order,
            Some(Order::Restart { rollout, step: ordered }) if *rollout == job.rollout && ordered == step
        );
        let waits = ordered && self.attended == Attended::No && self.action.is_none();
        waits.then(|| self.time.steady(*at, self.now))
    }

    fn heartbeat_due(&self) -> Option<Duration> {
        matches!(
            self.action,
            Some(ActionKind::Install | ActionKind::Remediate)
        )
        .then_some(self.heartbeat_at)
    }

    /// The next heartbeat comes after the time the server asked for.
    pub(super) fn arm_heartbeat(&mut self) {
        let every = self
            .state
            .as_ref()
            .map_or(0, |state| state.identity.settings.heartbeat_s)
            .max(60);
        self.heartbeat_at = self.now.steady + Duration::from_secs(every.into());
    }

    /// While servicing runs, being alive is news.
    fn heartbeat(&mut self) {
        if self.heartbeat_due().is_none_or(|due| due > self.now.steady) {
            return;
        }
        self.arm_heartbeat();
        let Some(job) = self.job() else { return };
        let phase = match &job.phase {
            Phase::Step { step, .. } => format!("installing {step}/{}", job.steps()),
            _ => "remediating".to_owned(),
        };
        let rollout = Some(job.rollout);
        self.note(EventKind::Heartbeat {
            rollout,
            phase: Some(phase),
        });
    }
}
