//! What the server answered.

use std::time::Duration;

use agent_protocol::{
    Assignment, EnrolAnswer, EnrolStatus, EventsAnswer, InventoryAnswer, Nonce, Order,
    PermitAnswer, Problem, TokenAnswer,
};
use chrono::TimeDelta;
use serde::de::DeserializeOwned;
use servicing::SignedManifest;

use super::outbox::Acked;
use super::{Answer, Attended, CallKind, Core, Deadline, Identity, Phase, Reply, State, Stopped};
use crate::inventory;

/// 15 min between polls where an answer does not say.
const DEFAULT_POLL_AFTER_S: u64 = 900;

impl Core {
    pub(super) fn answered(&mut self, answer: Answer) {
        let Some(kind) = self.call.take() else { return };
        let Answer::Reply(reply) = answer else {
            return self.backoff.fail(None, self.now, &mut self.rng);
        };
        if let Some(date) = reply.date {
            self.time.learn(date, self.now);
        }
        let settled = match reply.status {
            304 if kind == CallKind::Poll => self.unchanged(&reply),
            200..=299 => self.accepted(kind, &reply),
            401 => self.unauthorised(),
            409 if kind == CallKind::Events => self.out_of_step(&reply),
            400..=499 if reply.retry_after_s.is_none() => self.rejected(kind),
            _ => false,
        };
        if !settled {
            self.backoff
                .fail(reply.retry_after_s, self.now, &mut self.rng);
        }
    }

    /// Take in a success; false when it can not be read.
    fn accepted(&mut self, kind: CallKind, reply: &Reply) -> bool {
        let read = match kind {
            CallKind::Nonce => json(reply).map(|answer: Nonce| self.nonce = Some(answer.nonce)),
            CallKind::Enrol => json(reply).map(|answer| self.enrolled(answer)),
            CallKind::Token => json(reply).map(|answer| self.got_token(answer)),
            CallKind::Poll => json(reply).map(|assignment| self.assigned(assignment, reply)),
            CallKind::Permit => json(reply).map(|answer| self.permit_answered(&answer)),
            CallKind::Inventory => json(reply).map(|answer| self.inventory_stored(answer)),
            CallKind::Manifest => {
                json(reply).map(|signed: SignedManifest| self.got_manifest(&signed))
            }
            CallKind::Events => {
                let progress = json(reply).is_some_and(|answer| self.acknowledged(answer));
                progress.then_some(())
            }
        };
        // A nonce or a token opens the door; only what lies behind it ends a row of failures.
        if read.is_some() && !matches!(kind, CallKind::Nonce | CallKind::Token) {
            self.backoff.reset();
            self.denied = false;
        }
        read.is_some()
    }

    /// Ask for a new token at once, but only once: a server that refuses a fresh one needs time.
    pub(super) fn unauthorised(&mut self) -> bool {
        let had_token = self.token.take().is_some();
        had_token && !std::mem::replace(&mut self.denied, true)
    }

    /// The server refuses for good. What can be left alone is, so that everything else goes on.
    fn rejected(&mut self, kind: CallKind) -> bool {
        match kind {
            CallKind::Manifest | CallKind::Permit => {
                self.attended = Attended::UntilNextPoll;
                true
            }
            CallKind::Inventory => {
                self.inventory.forced = false;
                let server = self.inventory.server.clone().unwrap_or_default();
                self.inventory.accepted = self.inventory.own.clone().map(|own| (own, server));
                true
            }
            CallKind::Nonce
            | CallKind::Enrol
            | CallKind::Token
            | CallKind::Poll
            | CallKind::Events => false,
        }
    }

    fn enrolled(&mut self, answer: EnrolAnswer) {
        self.outbox.begin_epoch(answer.incarnation);
        self.change.mark = self.outbox.mark();
        self.inventory.server.clone_from(&self.inventory.own);
        self.dirty = true;
        self.state = Some(State {
            identity: Identity {
                device_id: answer.device_id,
                incarnation: answer.incarnation,
                status: answer.status,
                publisher_keys: answer.publisher_keys,
                settings: answer.settings,
            },
            counters: std::collections::BTreeMap::new(),
            job: None,
            repair: None,
        });
    }

    fn got_token(&mut self, answer: TokenAnswer) {
        self.keep_token(answer.access_token, answer.expires_in_s);
        if self
            .state
            .as_ref()
            .is_some_and(|state| state.identity.status != EnrolStatus::Admitted)
            && let Some(state) = self.state_mut()
        {
            state.identity.status = EnrolStatus::Admitted;
        }
    }

    fn unchanged(&mut self, reply: &Reply) -> bool {
        self.schedule_poll(reply);
        self.backoff.reset();
        self.denied = false;
        if self.attended == Attended::UntilNextPoll {
            self.attended = Attended::No;
        }
        true
    }

    fn assigned(&mut self, assignment: Assignment, reply: &Reply) {
        self.schedule_poll(reply);
        self.etag.clone_from(&reply.etag);
        self.inventory.server = assignment.inventory_digest.or(self.inventory.server.take());
        self.note_deadline(&assignment.order);
        self.order = Some(assignment.order);
        self.attended = Attended::No;
    }

    /// Deadlines are ordered in seconds from now; later polls that say "unchanged" do not move them.
    fn note_deadline(&mut self, order: &Order) {
        if let Order::AgreeRestart {
            rollout,
            deadline_s,
            grace_s,
        } = *order
        {
            let left = deadline_s.and_then(|s| TimeDelta::try_seconds(i64::try_from(s).ok()?));
            let at = left.and_then(|left| self.server_time().checked_add_signed(left));
            self.deadline = at.map(|at| Deadline {
                rollout,
                at,
                grace_s,
            });
        }
    }

    fn schedule_poll(&mut self, reply: &Reply) {
        let settings = self
            .state
            .as_ref()
            .map(|state| state.identity.settings.poll_after_s.into());
        let after = reply
            .poll_after_s
            .or(settings)
            .unwrap_or(DEFAULT_POLL_AFTER_S);
        self.poll_at = self.now.steady + Duration::from_secs(after);
    }

    fn permit_answered(&mut self, answer: &PermitAnswer) {
        let server_time = self.server_time();
        match answer {
            PermitAnswer::Granted {
                permit_no,
                start_within_s,
            } => {
                let Some(job) = self.job_mut() else { return };
                let Phase::Agreed { at } = job.phase else {
                    return;
                };
                let start_by = server_time + TimeDelta::seconds((*start_within_s).into());
                job.phase = Phase::Permitted {
                    at,
                    permit_no: *permit_no,
                    start_by,
                };
                self.poll_soon();
            }
            PermitAnswer::Wait { retry_after_s, .. } => {
                let wait = Duration::from_secs((*retry_after_s).max(1).into());
                self.permit_at = self.now.steady + wait;
            }
            PermitAnswer::Refused { .. } => self.attended = Attended::UntilNextPoll,
        }
    }

    fn inventory_stored(&mut self, answer: InventoryAnswer) {
        self.inventory.forced = false;
        let own = self
            .reading
            .as_deref()
            .map(|reading| inventory::digest(&inventory::of(reading)));
        self.inventory.accepted = own.map(|own| (own, answer.digest.clone()));
        self.inventory.server = Some(answer.digest);
    }

    /// Whether the server is further than before.
    fn acknowledged(&mut self, answer: EventsAnswer) -> bool {
        let acked = self.outbox.acknowledge(answer);
        self.change.mark = self.outbox.mark();
        if acked == Acked::Renumbered {
            self.change.renumbered = true;
            self.change.events = self.outbox.events().cloned().collect();
        }
        acked != Acked::Nothing
    }

    /// `409`: the server misses events, or has others under the same numbers.
    fn out_of_step(&mut self, reply: &Reply) -> bool {
        let Some(problem) = json::<Problem>(reply) else {
            return false;
        };
        if problem.kind.ends_with("/clone") {
            self.stopped = Some(Stopped::Clone);
            return true;
        }
        let (Some(epoch), Some(acked)) = (problem.epoch, problem.acked) else {
            return false;
        };
        self.acknowledged(EventsAnswer { epoch, acked })
    }
}

fn json<T: DeserializeOwned>(reply: &Reply) -> Option<T> {
    serde_json::from_slice(&reply.body).ok()
}
