//! Who said yes, who can, who can not and why.

use engine::approval::{Approval, Yes};
use engine::decide::{Person, Refused};
use engine::ids::PersonId;
use engine::rollout::Actor;

use super::asked::Asked;
use crate::web::frame::Frame;
use crate::web::parts::{Icon, Tone, When};

/// People shown one by one; the rest is a number.
const MOST_PEOPLE: usize = 20;

/// Someone and their part in it.
pub struct Voter {
    pub icon: Icon,
    pub tone: Tone,
    pub name: String,
    pub you: bool,
    /// `can decide`, `author`, `approved`.
    pub part: &'static str,
    pub at: Option<When>,
    pub note: Option<String>,
}

/// Who reads.
pub struct Reader {
    pub person: PersonId,
    /// May come here with a decision at all.
    pub decides: bool,
}

/// Those who said yes, in order, then those who can, then those who can not; and how many more there are.
pub fn voters(asked: &Asked, reader: &Reader, frame: &Frame) -> (Vec<Voter>, usize) {
    let approvals = &asked.line.approvals;
    let mut voters: Vec<Voter> = approvals
        .iter()
        .map(|yes| approved(yes, asked, frame, reader))
        .collect();
    let mut others: Vec<(u8, Voter)> = Vec::new();
    for (id, vote) in &asked.review.votes {
        if approvals.iter().any(|a| a.by == *id) {
            continue;
        }
        let person = asked.snapshot.people.get(id).copied();
        let Some((rank, part, note)) = part_of(vote, person, part_in(*id, asked)) else {
            continue;
        };
        let (can, you) = (vote.is_ok(), *id == reader.person);
        let voter = Voter {
            icon: if can { Icon::Person } else { Icon::Slash },
            tone: if can && you { Tone::Ask } else { Tone::Mute },
            name: asked.names.of(*id),
            you,
            part,
            at: None,
            note,
        };
        others.push((if you { 0 } else { rank }, voter));
    }
    others.sort_by(|(a, x), (b, y)| (a, &x.name).cmp(&(b, &y.name)));
    let room = MOST_PEOPLE.saturating_sub(voters.len());
    let more = others.len().saturating_sub(room);
    voters.extend(others.into_iter().take(room).map(|(_, voter)| voter));
    (voters, more)
}

/// How someone has to do with what is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Involved {
    Author,
    Requester,
    No,
}

pub fn part_in(person: PersonId, asked: &Asked) -> Involved {
    if person == asked.snapshot.rollout.author {
        Involved::Author
    } else if asked.line.requested_by == Actor::Person(person) {
        Involved::Requester
    } else {
        Involved::No
    }
}

/// What to say of someone who has not approved: order, part, and why not. Who only reads is not named.
fn part_of(
    vote: &Result<Yes, Refused>,
    person: Option<Person>,
    involved: Involved,
) -> Option<(u8, &'static str, Option<String>)> {
    let person = person?;
    Some(match (vote, involved) {
        (Ok(yes), _) if yes.alone => (
            1,
            "can decide alone",
            Some("The only one who could: their yes counts four hours later.".to_owned()),
        ),
        (Ok(_), _) => (1, "can decide", None),
        (Err(_), Involved::Author) => (
            2,
            "author",
            Some("Four eyes: the author can not approve.".to_owned()),
        ),
        (Err(_), Involved::Requester) => (
            2,
            "requester",
            Some("Four eyes: whoever requested it can not approve.".to_owned()),
        ),
        (Err(_), Involved::No) if !person.enabled && (person.approver || person.admin) => (
            3,
            "disabled",
            Some("Disabled people do not decide.".to_owned()),
        ),
        (Err(_), Involved::No) if person.admin => (
            3,
            "admin",
            Some("Has not the role approver on this track; can reject.".to_owned()),
        ),
        (Err(_), Involved::No) => return None,
    })
}

fn approved(yes: &Approval, asked: &Asked, frame: &Frame, reader: &Reader) -> Voter {
    let person = asked.snapshot.people.get(&yes.by);
    let lost = match person {
        _ if yes.alone => None,
        Some(p) if !p.enabled => Some("Does not count: disabled since."),
        Some(p) if !p.approver => Some("Does not count: no approver of this track any more."),
        Some(_) => None,
        None => Some("Does not count: has no account any more."),
    };
    let later = yes.alone.then_some(asked.line.effective_at).flatten();
    let note = later.map(|at| {
        format!(
            "The only one who could: it counts at {}.",
            frame.when(at).text()
        )
    });
    Voter {
        icon: if lost.is_some() {
            Icon::Slash
        } else {
            Icon::OkRing
        },
        tone: if lost.is_some() { Tone::Mute } else { Tone::Ok },
        name: asked.names.of(yes.by),
        you: yes.by == reader.person,
        part: "approved",
        at: Some(frame.when(yes.at)),
        note: lost.map(str::to_owned).or(note),
    }
}
