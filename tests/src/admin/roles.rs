//! People with every role in every place, and what the tables of routes promise them.

use engine::ids::PersonId;
use server::store::people::Role;
use uuid::Uuid;

use super::{Reach, Route, World};

const ALL_ROLES: [Role; 5] = [
    Role::Viewer,
    Role::Operator,
    Role::Approver,
    Role::Admin,
    Role::Auditor,
];

/// Where someone has a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On their own track alone.
    Own,
    /// On their own track, and they may read on the other.
    OwnAndReadsOther,
    /// On all tracks.
    Everywhere,
}

/// Somebody with a role, or with none.
#[derive(Debug, Clone, Copy)]
pub struct Holder {
    /// Who.
    pub id: Uuid,
    role: Option<Role>,
    place: Place,
}

impl Holder {
    /// Adds somebody.
    pub async fn add(world: &World, role: Option<Role>, place: Place) -> Self {
        let [own, other] = [0, 1].map(|i: usize| world.things[i].id("track").parse().unwrap());
        let mut roles = Vec::new();
        if let Some(role) = role {
            roles.push((role, (place != Place::Everywhere).then_some(own)));
            if place == Place::OwnAndReadsOther {
                roles.push((Role::Viewer, Some(other)));
            }
        }
        let name = format!("{role:?} {place:?}");
        let id = world.lab.person(&name, &roles).await;
        Self { id, role, place }
    }

    /// Everybody: nobody's role, and every role in every place.
    pub async fn everybody(world: &World) -> Vec<Self> {
        let mut people = vec![Self::add(world, None, Place::Own).await];
        for role in ALL_ROLES {
            for place in [Place::Own, Place::OwnAndReadsOther, Place::Everywhere] {
                people.push(Self::add(world, Some(role), place).await);
            }
        }
        people
    }

    /// As the rest of the tests call people.
    #[must_use]
    pub fn person(&self) -> PersonId {
        PersonId(self.id)
    }

    /// The status that a table promises. Without the role anywhere it is 403; what lies on a track on which one has no
    /// role at all is not there, 404; what one sees and may not touch is 403.
    #[must_use]
    pub fn expects(&self, route: &Route, own: bool) -> u16 {
        let reads_other = self.place == Place::OwnAndReadsOther;
        let has = self.role.is_some_and(|role| route.roles.contains(&role));
        let reads = route.roles.contains(&Role::Viewer);
        match route.reach {
            Reach::Nobody => route.allowed,
            _ if !has => 403,
            Reach::Any => route.allowed,
            _ if self.place == Place::Everywhere => route.allowed,
            Reach::All => 403,
            Reach::Track if own || reads_other && reads => route.allowed,
            Reach::Track if reads_other => 403,
            Reach::Track => 404,
        }
    }
}
