//! A request with all that is known about what it asks, read as of one moment.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use engine::Snapshot;
use engine::approval::{Review, review};
use engine::ids::RequestId;
use engine::stage::Stage;
use servicing::Sequence;
use uuid::Uuid;

use super::words::Names;
use crate::app::App;
use crate::auth::{As, Right};
use crate::error::OpError;
use crate::http::Failure;
use crate::store::tracks::{self, Track};
use crate::store::{self, people, requests, rollouts};
use crate::views::{RequestLine, RolloutPage};
use crate::web::parts::subject;

/// There is none, or none that the caller may see.
pub const NONE: OpError = OpError::NotFound {
    what: "approval request",
};

/// What the page is made from.
pub struct Asked {
    pub line: RequestLine,
    pub rollout: RolloutPage,
    /// Everything that a vote would be decided from now.
    pub snapshot: Snapshot,
    pub review: Review,
    pub names: Names,
    pub track: Track,
    pub sequence: Option<Arc<Sequence>>,
    pub ended_at: Option<DateTime<Utc>>,
}

impl Asked {
    /// Reads a request for someone who has the right over its track.
    pub async fn read<R: Right>(app: &App, caller: As<R>, id: Uuid) -> Result<Self, Failure> {
        let mut tx = store::reading(&app.pool).await?;
        let listed = requests::by_id(&mut tx, RequestId(id)).await?.ok_or(NONE)?;
        let track = caller.over("approval request", listed.track)?.track();
        let track = tracks::by_id(&mut tx, track).await?.ok_or(NONE)?;
        let stored = rollouts::by_id(&mut tx, listed.rollout).await?;
        let stored = stored.ok_or(NONE)?;
        let snapshot = app.control.look(&mut tx, &stored).await?;
        Ok(Self {
            review: review(&snapshot, &listed.request),
            names: Names::new(&people::all(&mut tx).await?),
            sequence: app.catalogue.get(&mut tx, stored.rollout.digest).await?,
            ended_at: requests::ended_at(&mut tx, listed.request.id).await?,
            rollout: RolloutPage::read(&mut tx, &app.catalogue, stored).await?,
            line: RequestLine::from(listed),
            snapshot,
            track,
        })
    }

    pub fn kb(&self) -> String {
        let kb = self.rollout.line.kb;
        kb.map_or_else(|| "an unknown update".to_owned(), |kb| kb.to_string())
    }

    /// For the title of the window.
    pub fn heading(&self) -> String {
        let what = subject(&self.line.ask, &self.line.ring_name);
        format!("{what} for {}?", self.kb())
    }

    /// The stage that would open, whose gate would pass, or with which expediting begins.
    pub fn stage(&self) -> Option<&Stage> {
        let stages = &self.snapshot.stages;
        stages.iter().find(|s| s.id == self.line.stage)
    }

    /// The stage whose gate was frozen.
    pub fn judged(&self) -> Option<&Stage> {
        self.snapshot.stages.get(self.review.judged?)
    }
}
