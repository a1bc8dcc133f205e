//! Criteria over the outcomes of a ring: sample, coverage, drift, OOBE duration.

use super::{Reading, line, pass_if};
use crate::gate::{Criterion, CriterionReport, Verdict};
use crate::policy::Sample;
use crate::words;

/// A quarter longer is noticed by people who wait for it.
const OOBE_LONGER_SHARE: u64 = 25;
/// Twenty minutes more is noticed however long it took before.
const OOBE_LONGER_S: u64 = 20 * 60;

impl Reading<'_> {
    /// Outcomes over permitted devices.
    pub(in crate::gate) fn sample(&self) -> CriterionReport {
        let (targeted, have) = (self.stage.targeted, self.stage.counts.resolved);
        let need = match self.stage.policy.sample {
            Sample::All => targeted.max(1),
            Sample::AtLeast(n) => n.min(targeted).max(1),
        };
        let verdict = pass_if(targeted > 0 && have >= need);
        let sentence = if targeted == 0 {
            "No device of this ring is targeted: an empty ring never passes.".to_owned()
        } else {
            format!(
                "{} reported an outcome; {} {} needed.",
                words::devices(have),
                words::number(need),
                if need == 1 { "is" } else { "are" }
            )
        };
        CriterionReport {
            sample: Some(self.stage.counts.started),
            ..line(
                Criterion::Sample,
                verdict,
                words::number(need),
                words::number(have),
                sentence,
            )
        }
    }

    /// Resolved over targeted devices. Devices that say why they can not go on stay in the denominator.
    pub(in crate::gate) fn coverage(&self) -> CriterionReport {
        let (targeted, resolved) = (self.stage.targeted, self.stage.counts.resolved);
        let limit = self.stage.policy.coverage;
        let verdict = pass_if(targeted > 0 && words::ratio(resolved, targeted) >= limit.share());
        let mut sentence = if targeted == 0 {
            "No device of this ring is targeted: an empty ring never passes.".to_owned()
        } else {
            format!(
                "{} devices have an outcome; {} is needed.",
                words::part(resolved, targeted),
                words::limit(limit.0)
            )
        };
        if self.stage.not_ready > 0 {
            sentence += &format!(
                " {} can not go on and said why.",
                words::devices(self.stage.not_ready)
            );
        }
        CriterionReport {
            sample: Some(targeted),
            ..line(
                Criterion::Coverage,
                verdict,
                format!("at least {}", words::limit(limit.0)),
                words::part(resolved, targeted),
                sentence,
            )
        }
    }

    /// Steps out of order, or packages on a base they were not built for. Never gets better by waiting.
    pub(in crate::gate) fn drift(&self) -> CriterionReport {
        let drift = self.stage.counts.drift;
        let verdict = if drift == 0 {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        };
        let sentence = match drift {
            0 => "No device installed out of order.".to_owned(),
            n => format!(
                "{} installed out of order or contaminated; none may. A person decides.",
                words::devices(n)
            ),
        };
        CriterionReport {
            sample: Some(self.stage.counts.started),
            ..line(
                Criterion::Drift,
                verdict,
                "none",
                words::number(drift),
                sentence,
            )
        }
    }

    /// Median against the control: both limits hold.
    pub(in crate::gate) fn oobe_duration(&self) -> CriterionReport {
        let limit = "at most +25 % and +20 min";
        let name = Criterion::OobeDuration;
        let Some(oobe) = self.stage.oobe.filter(|o| o.attempts > 0) else {
            return line(
                name,
                Verdict::Off,
                limit,
                "–",
                "No OOBE attempt on a machine that has the sequence.",
            );
        };
        let (Some(median), control) = (oobe.median_s, oobe.control_median_s) else {
            let sentence = format!(
                "None of {} completed yet.",
                words::count(oobe.attempts, "OOBE attempt")
            );
            return line(name, Verdict::Wait, limit, "–", sentence);
        };
        let shown = words::duration(seconds(median));
        let Some(control) = control else {
            let sentence = format!("OOBE takes {shown}; there is no control to compare with.");
            return line(name, Verdict::Off, limit, shown, sentence);
        };
        let longer = median.saturating_sub(control);
        let holds = longer * 100 <= control * OOBE_LONGER_SHARE && longer <= OOBE_LONGER_S;
        let verdict = if holds {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        };
        let sentence = format!(
            "OOBE takes {shown}, {} without the sequence.",
            words::duration(seconds(control))
        );
        CriterionReport {
            sample: Some(oobe.attempts),
            ..line(name, verdict, limit, shown, sentence)
        }
    }
}

fn seconds(s: u64) -> chrono::Duration {
    chrono::Duration::seconds(i64::try_from(s).unwrap_or(i64::MAX / 1000))
}
