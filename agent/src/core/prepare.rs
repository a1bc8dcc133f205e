//! Before anything is installed: the manifest, the device's own plan, and the files.

use std::sync::Arc;

use agent_protocol::{EventKind, Order};
use servicing::{ManifestError, Planned, SignedManifest, plan};

use super::identity::pinned_keys;
use super::{Action, ActionKind, Attended, Core, Fetch, Fetched, Phase, Purpose, Reading};
use crate::inventory;

/// After so many downloads with a wrong hash the source is wrong, not the line.
const MAX_CORRUPT: u8 = 3;

impl Core {
    /// The manifest is asked for while a job that needs it is to be prepared.
    pub(super) fn wants_manifest(&self) -> bool {
        self.is_preparing() && self.job().is_some_and(|job| job.sequence.is_none())
    }

    fn is_preparing(&self) -> bool {
        let to_be_prepared = matches!(
            self.order,
            Some(
                Order::Prepare { .. }
                    | Order::AgreeRestart { .. }
                    | Order::RequestPermit { .. }
                    | Order::RunStep { .. }
            )
        );
        to_be_prepared
            && self.attended == Attended::No
            && self.job().is_some_and(|job| job.phase == Phase::Preparing)
    }

    /// One step nearer to everything being on disk.
    pub(super) fn prepare(&mut self) {
        let Some(job) = self.job() else { return };
        if job.sequence.is_none() {
            return;
        }
        if job.plan.is_none() {
            return self.read(Purpose::Plan);
        }
        match self.next_fetch() {
            Some(fetch) => {
                if self.now.steady >= self.fetch_backoff.until() && self.bearer().is_some() {
                    self.fetching = Some(fetch.sha256.clone());
                    self.act(ActionKind::Fetch, Action::Fetch(fetch));
                }
            }
            None => self.everything_is_on_disk(),
        }
    }

    pub(super) fn got_manifest(&mut self, signed: &SignedManifest) {
        let now = self.server_time();
        let Some(state) = &self.state else { return };
        let Some(job) = &state.job else { return };
        let rollout = job.rollout;
        let keys = pinned_keys(&state.identity);
        let checked = signed.verify(&keys, now, 0).and_then(|manifest| {
            let newest = state
                .counters
                .get(&manifest.sequence.kb)
                .copied()
                .unwrap_or(0);
            signed.verify(&keys, now, newest)
        });
        let manifest = match checked {
            Ok(manifest) => manifest,
            Err(error) => return self.refuse(rollout, word(error)),
        };
        if manifest.sequence.content_digest().to_string() != job.digest {
            return self.refuse(rollout, "digest");
        }
        if let Some(state) = self.state_mut() {
            state
                .counters
                .insert(manifest.sequence.kb, manifest.counter);
            if let Some(job) = &mut state.job {
                job.expires_at = Some(manifest.expires_at);
                job.sequence = Some(Arc::new(manifest.sequence));
            }
        }
    }

    /// Facts and ledger were read to make the plan.
    pub(super) fn make_plan(&mut self, reading: &Reading) {
        let Some(job) = self.job() else { return };
        let Some(sequence) = &job.sequence else {
            return;
        };
        let rollout = job.rollout;
        match plan(sequence, &reading.facts, &reading.ledger) {
            Planned::Steps(plan) => {
                if let Some(job) = self.job_mut() {
                    job.plan = Some(plan);
                }
            }
            Planned::NotReady(_, reasons) => {
                self.not_ready(reasons.iter().map(|reason| reason.word()));
            }
            Planned::NotApplicable(reason) => {
                self.set_phase(Phase::NotApplicable);
                self.attended = Attended::Done;
                self.note(EventKind::NotApplicable {
                    rollout,
                    reason: reason.word().to_owned(),
                });
            }
            Planned::Complete | Planned::Ahead => self.report_verified(reading, true),
        }
    }

    /// Say once per reason why not, and look again at later polls.
    pub(super) fn not_ready(&mut self, reasons: impl Iterator<Item = &'static str>) {
        self.attended = Attended::UntilNextPoll;
        let Some(job) = self.job_mut() else { return };
        let rollout = job.rollout;
        let new: Vec<_> = reasons
            .filter(|reason| job.not_ready.insert((*reason).to_owned()))
            .collect();
        for reason in new {
            self.note(EventKind::NotReady {
                rollout,
                reason: reason.to_owned(),
            });
        }
    }

    /// The first package that is not on disk.
    fn next_fetch(&self) -> Option<Fetch> {
        let job = self.job()?;
        let bearer = self.bearer().unwrap_or_default().to_owned();
        job.plan.as_ref()?.packages().find_map(|package| {
            // A draft has no hashes; what can not be checked is not run, see `everything_is_on_disk`.
            let sha256 = package.sha256?.to_string();
            (!job.fetched.contains(&sha256)).then(|| Fetch {
                sha256,
                size_bytes: package.size_bytes.unwrap_or(0),
                bearer: bearer.clone(),
            })
        })
    }

    /// A fetch needs a token, and waits after a failure.
    pub(super) fn fetch_due(&self) -> Option<std::time::Duration> {
        let due = self.is_preparing()
            && self.action.is_none()
            && self.bearer().is_some()
            && self.has_fetch();
        due.then(|| self.fetch_backoff.until())
    }

    pub(super) fn token_for_fetch_due(&self) -> Option<std::time::Duration> {
        let due = self.is_preparing()
            && self.action.is_none()
            && self.bearer().is_none()
            && self.has_fetch();
        due.then(|| self.fetch_backoff.until())
    }

    fn has_fetch(&self) -> bool {
        self.next_fetch().is_some()
    }

    pub(super) fn fetched(&mut self, fetched: Fetched) {
        self.action = None;
        let Some(sha256) = self.fetching.take() else {
            return;
        };
        match fetched {
            Fetched::Complete => {
                self.fetch_backoff.reset();
                if let Some(job) = self.job_mut() {
                    job.fetched.insert(sha256);
                }
                if self.has_fetch() {
                    self.note_progress(0);
                }
            }
            Fetched::Corrupt => self.discard_corrupt(sha256),
            Fetched::Cut { bytes } => {
                self.note_progress(bytes);
                self.fetch_backoff.fail(None, self.now, &mut self.rng);
            }
            Fetched::Denied {
                status,
                retry_after_s,
            } => {
                if status == 401 {
                    self.unauthorised();
                }
                self.fetch_backoff
                    .fail(retry_after_s, self.now, &mut self.rng);
            }
        }
    }

    fn discard_corrupt(&mut self, sha256: String) {
        self.emit(super::Effect::Act(Action::Discard { sha256 }));
        let Some(job) = self.job_mut() else { return };
        let rollout = job.rollout;
        job.corrupt = job.corrupt.saturating_add(1);
        if job.corrupt >= MAX_CORRUPT {
            job.corrupt = 0;
            self.refuse(rollout, "hash");
        }
    }

    fn note_progress(&mut self, partial: u64) {
        let Some(job) = self.job() else { return };
        let Some(plan) = &job.plan else { return };
        let rollout = job.rollout;
        let on_disk = |package: &&servicing::Package| {
            package
                .sha256
                .is_some_and(|sha256| job.fetched.contains(&sha256.to_string()))
        };
        let whole: u64 = plan
            .packages()
            .filter(on_disk)
            .filter_map(|package| package.size_bytes)
            .sum();
        let total = plan.download_bytes();
        self.note(EventKind::DownloadProgress {
            rollout,
            bytes: whole + partial,
            total,
        });
    }

    fn everything_is_on_disk(&mut self) {
        let Some(job) = self.job_mut() else { return };
        let rollout = job.rollout;
        if job
            .plan
            .iter()
            .flat_map(servicing::Plan::packages)
            .any(|package| package.sha256.is_none())
        {
            return self.refuse(rollout, "hash");
        }
        job.phase = Phase::Ready;
        job.corrupt = 0;
        if !std::mem::replace(&mut job.download_reported, true) {
            self.note(EventKind::DownloadDone { rollout });
        }
        self.poll_soon();
    }

    /// Remember what was read; it is sent when the server holds something else.
    pub(super) fn keep_reading(&mut self, reading: Box<Reading>) {
        self.inventory.own = Some(inventory::digest(&inventory::of(&reading)));
        self.reading = Some(reading);
    }
}

fn word(error: ManifestError) -> &'static str {
    match error {
        ManifestError::UnknownKey | ManifestError::BadSignature => "signature",
        ManifestError::Malformed => "manifest unreadable",
        ManifestError::Expired => "expired",
        ManifestError::OldCounter => "counter",
    }
}
