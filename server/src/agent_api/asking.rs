//! Polls that memory can not answer ask together: after a change they come by the thousand, and one question for all that
//! wait costs little more than one for each of the first few.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agent_protocol::Assignment;
use sqlx::PgPool;

use super::orders;
use crate::batcher::Work;
use crate::clock::SharedClock;
use crate::fleet::{Catalogue, Glance, Picture};
use crate::http::Failure;
use crate::store::offers;

/// A poll that asks the database.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// Device.
    pub device_no: i32,
    /// What the picture knew of it when it asked.
    pub glance: Glance,
}

/// What answering needs.
pub struct Answering {
    /// Database.
    pub pool: PgPool,
    /// What is noted of devices.
    pub picture: Arc<Picture>,
    /// Sequences by digest.
    pub catalogue: Arc<Catalogue>,
    /// Where time comes from.
    pub clock: SharedClock,
}

/// What a device is to do. What was seen of it is noted in the picture as of the question's glance: so that it polls at the
/// right pace, and is answered from memory next time where nothing is going on.
impl Work for Answering {
    type Question = Question;
    type Answer = Result<Assignment, Failure>;

    const WHAT: &'static str = "polls";
    const MOST: usize = 256;
    /// Well below the time after which callers give up.
    const PATIENCE: Duration = Duration::from_secs(2);

    async fn answer(&self, questions: &[Question]) -> anyhow::Result<Vec<Self::Answer>> {
        let device_nos: Vec<i32> = questions.iter().map(|q| q.device_no).collect();
        let mut conn = self.pool.acquire().await?;
        let standings = offers::standings(&mut conn, &device_nos).await?;
        let now = self.clock.now();
        let mut found = HashMap::new();
        for (device_no, standing) in &standings {
            let answer = orders::for_device(&mut conn, &self.catalogue, standing, now).await;
            found.insert(*device_no, answer);
        }
        let answer = |question: &Question| match found.get(&question.device_no) {
            Some(Ok((assignment, seen))) => {
                let digest = &standings[&question.device_no].inventory_digest;
                let version = question.glance.version;
                self.picture
                    .note(question.device_no, version, *seen, digest);
                Ok(assignment.clone())
            }
            Some(Err(error)) => Err(Failure::from(anyhow::anyhow!(
                "device {}: {error:#}",
                question.device_no
            ))),
            None => Err(Failure::Unauthorized("The device is gone.")),
        };
        Ok(questions.iter().map(answer).collect())
    }
}
