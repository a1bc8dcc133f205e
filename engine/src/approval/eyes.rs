//! Four eyes: who may say yes, and whose yes counts in the end.

use std::collections::BTreeMap;

use super::{Approval, Request};
use crate::decide::{Person, Refused};
use crate::ids::PersonId;
use crate::rollout::Actor;

/// What one more yes does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Yes {
    /// Given by the only admin there is: it counts four hours later.
    pub alone: bool,
    /// It was the last one needed.
    pub done: bool,
}

/// Whether a person may approve a request now, and what follows. The approvals before are checked again: whoever
/// was disabled meanwhile does not count.
///
/// # Errors
/// Why they may not.
pub fn approve(
    request: &Request,
    by: PersonId,
    author: PersonId,
    people: &BTreeMap<PersonId, Person>,
) -> Result<Yes, Refused> {
    if request.approvals.iter().any(|approval| approval.by == by) {
        return Err(Refused::new(
            "four_eyes",
            "You have approved this already; another person must.",
        ));
    }
    let involved = is_involved(request, by, author);
    if lone_admin(people) == Some(by) && (involved || request.needed > 1) {
        return Ok(Yes {
            alone: true,
            done: false,
        });
    }
    if !people
        .get(&by)
        .is_some_and(|person| person.enabled && person.approver)
    {
        return Err(Refused::new("role", "You may not approve on this track."));
    }
    if by == author {
        return Err(Refused::new(
            "four_eyes",
            "Four eyes: the author can not approve.",
        ));
    }
    if involved {
        return Err(Refused::new(
            "four_eyes",
            "Four eyes: whoever requested it can not approve.",
        ));
    }
    let given = counted(request, author, people) + 1;
    Ok(Yes {
        alone: false,
        done: given >= usize::from(request.needed),
    })
}

/// How many of the approvals so far count at this moment.
pub(crate) fn counted(
    request: &Request,
    author: PersonId,
    people: &BTreeMap<PersonId, Person>,
) -> usize {
    let mut by: Vec<PersonId> = request
        .approvals
        .iter()
        .map(|approval| approval.by)
        .filter(|by| !is_involved(request, *by, author))
        .filter(|by| {
            people
                .get(by)
                .is_some_and(|person| person.enabled && person.approver)
        })
        .collect();
    by.sort_unstable();
    by.dedup();
    by.len()
}

/// The yes of an only admin, where there is one.
pub(crate) fn said_yes_alone(request: &Request) -> Option<&Approval> {
    request.approvals.iter().find(|approval| approval.alone)
}

/// The only admin, where nobody else may approve either.
pub(crate) fn lone_admin(people: &BTreeMap<PersonId, Person>) -> Option<PersonId> {
    let mut able = people
        .iter()
        .filter(|(_, person)| person.enabled && (person.admin || person.approver));
    let (id, person) = able.next()?;
    (person.admin && able.next().is_none()).then_some(*id)
}

fn is_involved(request: &Request, by: PersonId, author: PersonId) -> bool {
    by == author || request.requested_by == Actor::Person(by)
}
