//! Two tracks with one thing of each kind, such that a call on it can be understood and not be done.

use engine::Input;
use engine::policy::StagePolicy;
use server::registry::RingInput;
use server::store::people::{self, Role};
use server::store::tracks::{self, Track};
use uuid::Uuid;

use crate::lab::Lab;

/// The things that paths and bodies name.
#[derive(Debug, Clone)]
pub struct Things(Vec<(&'static str, String)>);

impl Things {
    /// Of an installation in which there is nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Puts them in for `{name}`.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let fill =
            |text: String, (name, id): &(&str, String)| text.replace(&format!("{{{name}}}"), id);
        self.0.iter().fold(text.to_owned(), fill)
    }

    /// The id of one of them.
    #[must_use]
    pub fn id(&self, name: &str) -> &str {
        &self.0.iter().find(|(n, _)| *n == name).unwrap().1
    }

    fn put(&mut self, name: &'static str, id: &impl ToString) {
        self.0.retain(|(n, _)| *n != name);
        self.0.push((name, id.to_string()));
    }
}

/// A lab with two tracks.
pub struct World {
    /// The lab; its track is the first one.
    pub lab: Lab,
    /// Things of both tracks.
    pub things: [Things; 2],
}

impl World {
    /// Makes it.
    pub async fn build() -> Self {
        let mut lab = Lab::start().await;
        let own = lab.track;
        let other = second_track(&lab).await;
        let mut shared = Things(Vec::new());
        let person = lab.person("Pat", &[(Role::Viewer, None)]).await;
        let disabled = lab.person("Dora", &[(Role::Viewer, None)]).await;
        let mut conn = lab.conn().await;
        people::set_enabled(&mut conn, disabled, false)
            .await
            .unwrap();
        drop(conn);
        let (sequence, content) = lab.publish("KB5079391").await;
        let by = lab.people.operator;
        let draft = lab.control.add_sequence(&content, by).await.unwrap();
        shared.put("person", &person);
        shared.put("nobody", &Uuid::nil());
        shared.put("long", &"x".repeat(101));
        shared.put("disabled", &disabled);
        shared.put("sequence", &sequence);
        shared.put("draft", &draft);
        let mut things = Vec::new();
        for track in [own, other] {
            lab.track = track;
            things.push(of_track(&lab, shared.clone()).await);
        }
        lab.track = own;
        let things = things.try_into().unwrap();
        let mut world = Self { lab, things };
        world.renew().await;
        world
    }

    /// New tokens in place of those that may have been ended.
    pub async fn renew(&mut self) {
        for i in 0..2 {
            let own = self.lab.track;
            self.lab.track = self.things[i].id("track").parse().unwrap();
            let secret = Uuid::new_v4().to_string();
            let enrolment = self.lab.enrolment_token(&secret, "let_in", 1).await;
            self.lab.track = own;
            let person = self.things[i].id("person").parse().unwrap();
            let (token, _) = self.lab.api_token(person).await;
            self.things[i].put("enrolment", &enrolment);
            self.things[i].put("token", &token);
        }
    }
}

async fn second_track(lab: &Lab) -> Uuid {
    let track = Track {
        id: Uuid::now_v7(),
        name: "Elsewhere".into(),
        time_zone: "UTC".parse().unwrap(),
    };
    let mut conn = lab.conn().await;
    tracks::add(&mut conn, &track, lab.clock.now())
        .await
        .unwrap();
    track.id
}

/// A thrown-out device, a cancelled rollout with its void request, and one that is written and not started, on the lab's
/// present track.
async fn of_track(lab: &Lab, mut things: Things) -> Things {
    if lab.rings().await.is_empty() {
        let name = "broad".to_owned();
        lab.define(&[RingInput {
            id: None,
            name,
            query: None,
            share: None,
        }])
        .await;
    }
    let secret = format!("into {}", lab.track);
    lab.enrolment_token(&secret, "let_in", 1).await;
    let device = lab.enrol_with(&secret, lab.machine("x")).await;
    lab.revoke(&device).await;
    let policy = |_: &str| StagePolicy {
        approvals: 2,
        ..Lab::policy()
    };
    let rollout = lab.rollout_with("KB5079391", policy).await;
    let request = lab.request(rollout).await.unwrap().id;
    let (by, reason) = (lab.people.admin, "not this one".to_owned());
    lab.apply(rollout, Input::Cancel { by, reason })
        .await
        .unwrap();
    lab.tick(rollout).await;
    let written = lab.draft_with("KB5079391", policy).await;
    things.put("track", &lab.track);
    things.put("device", &device.id);
    things.put("rollout", &rollout);
    things.put("written", &written);
    things.put("request", &request.0);
    things
}
