//! Requests as sentences: what they ask for, and how they ended.

use std::collections::BTreeMap;

use engine::approval::{Ask, RequestState, VoidReason};
use engine::ids::PersonId;
use engine::rollout::Actor;
use engine::words::{count, devices, ended};
use uuid::Uuid;

use crate::store::people::Account;
use crate::views::RequestLine;
use crate::web::parts::{isolated, subject};

/// Names of people.
pub struct Names(BTreeMap<Uuid, String>);

impl Names {
    pub fn new(people: &[Account]) -> Self {
        Self(people.iter().map(|p| (p.id, p.name.clone())).collect())
    }

    /// As it stands in the middle of a sentence.
    pub fn of(&self, person: PersonId) -> String {
        self.0
            .get(&person.0)
            .map_or_else(|| "someone".to_owned(), |name| isolated(name))
    }

    pub fn actor(&self, actor: Actor) -> String {
        match actor {
            Actor::Engine => "the engine".to_owned(),
            Actor::Person(person) => self.of(person),
        }
    }
}

/// `Open Broad`, whatever the ring is called.
pub fn question(request: &RequestLine) -> String {
    subject(&request.ask, &isolated(&request.ring_name))
}

/// What a yes brings about, in a line.
pub fn promise(request: &RequestLine) -> String {
    let ring = isolated(&request.ring_name);
    match &request.ask {
        Ask::Open => format!(
            "Promotes to {} in {ring}.",
            devices(request.frozen.targeted)
        ),
        Ask::Override { reason } => format!(
            "Passes the gate of {ring} although it does not hold. Asked for because: {}",
            ended(&isolated(reason))
        ),
        Ask::Expedite { reason } => format!(
            "Lets {ring} and the rings after it soak and wait less. Asked for because: {}",
            ended(&isolated(reason))
        ),
    }
}

/// How many have said yes of how many; open requests only.
pub fn progress(request: &RequestLine) -> String {
    let given = request.approvals.len();
    format!(
        "{given} of {} given.",
        count(u64::from(request.needed), "approval")
    )
}

/// How a request ended, and what that meant; none while it is open.
pub fn outcome(request: &RequestLine, names: &Names) -> Option<String> {
    let ring = isolated(&request.ring_name);
    let again = match request.ask {
        Ask::Open => None,
        Ask::Override { .. } => Some("An admin can ask again."),
        Ask::Expedite { .. } => Some("It can be asked for again."),
    };
    Some(match &request.state_detail {
        RequestState::Open => return None,
        RequestState::Approved => {
            let by: Vec<String> = request.approvals.iter().map(|a| names.of(a.by)).collect();
            let alone = request.approvals.iter().any(|a| a.alone);
            let how = if alone {
                ", the only one who could; it counted four hours later"
            } else {
                ""
            };
            let then = match request.ask {
                Ask::Open => format!("{ring} opened."),
                Ask::Override { .. } => format!("The gate of {ring} passed by override."),
                Ask::Expedite { .. } => "What was left of the rollout was expedited.".to_owned(),
            };
            format!("Approved by {}{how}. {then}", listed(&by))
        }
        RequestState::Rejected { by, reason } => {
            let then = match request.ask {
                Ask::Open => {
                    "The rollout was paused; it asks again once someone resumes it.".to_owned()
                }
                Ask::Override { .. } => {
                    format!("The gate of {ring} stays closed until its criteria hold.")
                }
                Ask::Expedite { .. } => "The rollout went on as it was.".to_owned(),
            };
            format!(
                "Rejected by {}: {} {then}",
                names.of(*by),
                ended(&isolated(reason))
            )
        }
        RequestState::Void { reason } => {
            let then = match (again, reason) {
                (Some(again), reason) if *reason != VoidReason::NotNeeded => again,
                _ => after_void(*reason),
            };
            format!("Void. {} {then}", reason.sentence())
        }
        RequestState::Expired => {
            let then = again.unwrap_or("It is asked again while the gate holds.");
            format!("Expired. Not enough people decided in seven days. {then}")
        }
    })
}

const fn after_void(reason: VoidReason) -> &'static str {
    match reason {
        VoidReason::EvidenceWorsened => "It is asked again once the gate holds again.",
        VoidReason::RolloutStopped => "It is asked again if the rollout goes on.",
        VoidReason::NotNeeded => "Nobody has to decide.",
        VoidReason::DigestChanged
        | VoidReason::PolicyChanged
        | VoidReason::RingChanged
        | VoidReason::RingGrew => "It is asked again with what is so now.",
    }
}

/// `Anna, Mary and Kai`.
fn listed(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
pub mod tests {
    use chrono::DateTime;
    use engine::approval::{Approval, Frozen};
    use engine::evidence::{Counts, Evidence};
    use engine::ids::{RequestId, RolloutId, StageId};
    use engine::policy::{Preset, preset};
    use servicing::Sha256;

    use super::*;

    pub const ANNA: PersonId = PersonId(Uuid::from_u128(1));
    pub const MARY: PersonId = PersonId(Uuid::from_u128(2));
    pub const KAI: PersonId = PersonId(Uuid::from_u128(3));

    pub const ADA: PersonId = PersonId(Uuid::from_u128(4));

    pub fn names() -> Names {
        let named = [
            (ANNA, "Anna Novak"),
            (MARY, "Mary Osei"),
            (KAI, "דוד"),
            (ADA, "Ada Admin"),
        ];
        Names(named.map(|(id, name)| (id.0, name.to_owned())).into())
    }

    /// A request for Broad in some state.
    pub fn request(state: RequestState) -> RequestLine {
        let at = DateTime::from_timestamp(1_775_536_327, 0).unwrap();
        let frozen = Frozen {
            digest: Sha256::of(b"content"),
            policy: preset(Preset::Standard, 3, 4, chrono_tz::Tz::Europe__Berlin),
            ring_revision: 4,
            targeted: 1840,
            gate: None,
            policies: Vec::new(),
            evidence: Evidence {
                all: Counts {
                    started: 496,
                    ok: 480,
                    failed: 4,
                    resolved: 488,
                    ..Counts::default()
                },
                ..Evidence::default()
            },
        };
        RequestLine {
            id: RequestId(Uuid::from_u128(118)),
            rollout: RolloutId(Uuid::from_u128(5)),
            track: Uuid::from_u128(7),
            stage: StageId(Uuid::from_u128(8)),
            ring_name: "Broad".to_owned(),
            ask: Ask::Open,
            requested_by: Actor::Engine,
            requested_at: at,
            expires_at: at + engine::approval::EXPIRY,
            needed: 2,
            approvals: vec![Approval {
                by: MARY,
                at,
                alone: false,
            }],
            effective_at: None,
            state: crate::store::phase(&state).unwrap(),
            state_detail: state,
            hash: frozen.hash(),
            frozen,
        }
    }

    #[test]
    fn every_end_reads_like_a_sentence() {
        let ends = [
            RequestState::Approved,
            RequestState::Rejected {
                by: KAI,
                reason: "the VPN fails on 840 G9".to_owned(),
            },
            RequestState::Expired,
            RequestState::Void {
                reason: VoidReason::EvidenceWorsened,
            },
            RequestState::Void {
                reason: VoidReason::DigestChanged,
            },
            RequestState::Void {
                reason: VoidReason::PolicyChanged,
            },
            RequestState::Void {
                reason: VoidReason::RingChanged,
            },
            RequestState::Void {
                reason: VoidReason::RingGrew,
            },
            RequestState::Void {
                reason: VoidReason::RolloutStopped,
            },
            RequestState::Void {
                reason: VoidReason::NotNeeded,
            },
        ];
        let mut said = String::new();
        for end in ends {
            let opens = request(end.clone());
            let overrides = RequestLine {
                ask: Ask::Override {
                    reason: "the fifth is in repair".to_owned(),
                },
                ..request(end)
            };
            for request in [opens, overrides] {
                said += &outcome(&request, &names()).unwrap();
                said += "\n";
            }
        }
        assert_eq!(outcome(&request(RequestState::Open), &names()), None);
        insta::assert_snapshot!(said.replace(['\u{2068}', '\u{2069}'], ""));
    }

    #[test]
    fn a_list_of_people_reads_as_one_says_it() {
        let names = |n: &[&str]| listed(&n.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["A"]), "A");
        assert_eq!(names(&["A", "B"]), "A and B");
        assert_eq!(names(&["A", "B", "C"]), "A, B and C");
    }
}
