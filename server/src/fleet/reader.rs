//! Keeps the picture in step with what was committed, on this replica and on others.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgListener;
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use super::Picture;
use crate::store::devices::Sketch;
use crate::store::{changes, devices, service_clock, tracks};

/// How old the picture may be before this replica stops answering polls and granting permits.
pub const FRESH_FOR: Duration = Duration::from_secs(3);

/// The longest pause between two reads.
const PAUSE: Duration = Duration::from_millis(100);

/// The shortest pause between the starts of two reads: a thousand commits a second that wake it make a hundred reads.
const BREATH: Duration = Duration::from_millis(10);

/// Changes read at once from a lane.
const PAGE: i64 = 1000;

/// Devices whose rows are read at once.
const SKETCHES: usize = 10_000;

/// Of more devices than this all rows are read: one after the other, which takes half the time of looking each up. A
/// ring that is defined anew can move a million, and the picture must not grow old meanwhile.
const SCAN_FROM: usize = 200_000;

/// Name on which commits of people's decisions wake other replicas. It only wakes: what is read is the same without.
pub const CHANNEL: &str = "ringfence_change";

/// Reads changes into a picture.
pub struct Reader {
    pool: PgPool,
    picture: Arc<Picture>,
    cursors: Vec<i64>,
}

impl Reader {
    /// Loads everything.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn load(pool: PgPool, picture: Arc<Picture>) -> anyhow::Result<Self> {
        let mut reader = Self {
            pool,
            picture,
            cursors: Vec::new(),
        };
        reader.load_all().await?;
        Ok(reader)
    }

    async fn load_all(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut conn = self.pool.acquire().await?;
        // Cursors first: what is committed while the rows are read is then read again as a change.
        self.cursors = changes::cursors(&mut conn).await?;
        self.picture.place_rings(tracks::offers(&mut conn).await?);
        let busy: HashSet<i32> = devices::unfinished(&mut conn).await?.into_iter().collect();
        let (picture, cursors) = (&self.picture, &self.cursors);
        let load = |sketch: &Sketch| {
            let lane = usize::try_from(changes::lane_of(sketch.device_no));
            let version = lane.ok().and_then(|lane| cursors.get(lane)).copied();
            let quiet = !busy.contains(&sketch.device_no);
            picture.place(sketch);
            picture.loaded(sketch.device_no, version.unwrap_or(0), quiet);
        };
        devices::each_sketch(&mut conn, load).await?;
        self.read_clock(&mut conn).await?;
        self.picture.read_done(started);
        Ok(())
    }

    async fn read_clock(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        if let Some(clock) = service_clock::read(conn).await? {
            self.picture.set_service_now(clock.now);
        }
        Ok(())
    }

    /// One read: everything since the last one.
    ///
    /// # Errors
    /// When the database fails; the picture then grows old.
    pub async fn read(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut conn = self.pool.acquire().await?;
        loop {
            let page = changes::after(&mut conn, &self.cursors, PAGE).await?;
            let full = page.len() >= usize::try_from(PAGE)?;
            // Taken over once what changed is in the picture: a query that fails must not skip it for good.
            let mut cursors = self.cursors.clone();
            let mut rings = false;
            let mut registry = Vec::new();
            for change in &page {
                let cursor = cursors
                    .get(usize::try_from(change.lane)?)
                    .copied()
                    .unwrap_or(0);
                if change.n != cursor + 1 {
                    tracing::warn!(
                        lane = change.lane,
                        cursor,
                        next = change.n,
                        "changes were pruned before they were read: loading everything"
                    );
                    drop(conn);
                    return self.load_all().await;
                }
                cursors[usize::try_from(change.lane)?] = change.n;
                rings |= change.lane == changes::CONTROL_LANE;
                if change.registry {
                    registry.extend_from_slice(&change.device_nos);
                }
            }
            if rings {
                self.picture.place_rings(tracks::offers(&mut conn).await?);
            }
            if !registry.is_empty() {
                self.place(&mut conn, registry).await?;
            }
            for change in page.iter().filter(|c| c.lane != changes::CONTROL_LANE) {
                if change.registry {
                    self.picture.advance_registry(&change.device_nos, change.n);
                } else {
                    self.picture.advance(&change.device_nos, change.n);
                }
            }
            self.cursors = cursors;
            if !page.is_empty() {
                self.picture.tell_change();
            }
            if !full {
                break;
            }
        }
        self.read_clock(&mut conn).await?;
        self.picture.read_done(started);
        Ok(())
    }

    /// Reads these devices' own rows into the picture.
    async fn place(&self, conn: &mut PgConnection, mut device_nos: Vec<i32>) -> anyhow::Result<()> {
        if device_nos.len() >= SCAN_FROM {
            return devices::each_sketch(conn, |sketch| self.picture.place(sketch)).await;
        }
        device_nos.sort_unstable();
        device_nos.dedup();
        for some in device_nos.chunks(SKETCHES) {
            for sketch in devices::sketches(conn, some).await? {
                self.picture.place(&sketch);
            }
        }
        Ok(())
    }

    /// Reads until cancelled: at least every 100 ms, at once when woken. With `notify` other replicas wake it too.
    pub async fn run(mut self, notify: bool, stop: CancellationToken) {
        let mut listener = None;
        let mut earliest = tokio::time::Instant::now();
        while !stop.is_cancelled() {
            if notify && listener.is_none() {
                listener = listen(&self.pool).await;
            }
            let other_replica = async {
                match &mut listener {
                    Some(l) => l.recv().await.map(|_| ()),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
                () = self.picture.wake.notified() => {}
                lost = other_replica => if lost.is_err() { listener = None; },
            }
            tokio::time::sleep_until(earliest).await;
            earliest = tokio::time::Instant::now() + BREATH;
            if let Err(error) = self.read().await {
                tracing::warn!(%error, "changes can not be read; the picture grows old");
            }
        }
    }
}

async fn listen(pool: &PgPool) -> Option<PgListener> {
    let mut listener = PgListener::connect_with(pool).await.ok()?;
    listener.listen(CHANNEL).await.ok()?;
    Some(listener)
}
