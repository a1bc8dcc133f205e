//! What a server costs before anybody asks anything: its start, its memory, idle connections, last contacts.

use std::sync::Arc;
use std::time::Instant;

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use server::clock::{Clock, SystemClock};
use server::fleet::{Picture, Reader, flush};
use uuid::Uuid;

use super::Bench;
use crate::load::{Connection, polls};
use crate::replica::Replica;

/// Times that a server is started.
const STARTS: usize = 5;

#[allow(
    clippy::cast_precision_loss,
    reason = "bytes of memory are far below 2^52"
)]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl Bench {
    /// Measures all of it.
    pub(super) async fn standing(&mut self) -> anyhow::Result<()> {
        println!("Start, memory, connections");
        let (mut starts, mut memory) = (Vec::new(), Vec::new());
        for n in 0..STARTS {
            let server = self.serve()?;
            starts.push(server.started_in.as_secs_f64());
            memory.push(mib(server
                .memory()?
                .resident
                .saturating_sub(self.world.empty.resident)));
            if n + 1 == STARTS {
                let kib = self.idle(&server).await?;
                self.report.add("connection", vec![kib]);
            }
            server.stop()?;
        }
        self.report
            .add("start.empty", vec![self.world.empty_start.as_secs_f64()]);
        self.report.add("start", starts);
        self.report.add("memory", memory);
        self.contacts().await
    }

    /// Memory of a connection that polled once and is kept.
    #[allow(clippy::cast_precision_loss, reason = "some thousand connections")]
    async fn idle(&self, server: &Replica) -> anyhow::Result<f64> {
        let mut request = Vec::new();
        let before = server.memory()?.resident;
        let mut kept = Vec::new();
        for n in 0..self.extent.idle {
            let mut connection = Connection::open(server.address).await?;
            request.clear();
            let device_no = 1 + u32::try_from(n)? % self.tokens.len();
            polls::write(&mut request, self.tokens.of(device_no), b"");
            connection.ask(&request).await?;
            kept.push(connection);
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let grown = server.memory()?.resident.saturating_sub(before);
        Ok(grown as f64 / 1024.0 / kept.len() as f64)
    }

    /// Writes the last contacts of all devices down, every one of them new.
    #[allow(clippy::cast_precision_loss, reason = "some megabytes")]
    async fn contacts(&mut self) -> anyhow::Result<()> {
        let pool = self.world.postgres.pool.clone();
        let picture = Arc::new(Picture::default());
        let _reader = Reader::load(pool.clone(), Arc::clone(&picture)).await?;
        let (mut times, mut wal) = (Vec::new(), Vec::new());
        let mut dice = StdRng::seed_from_u64(1);
        for round in 0..5 {
            for device_no in 1..=self.world.devices {
                // Some time in the last hour, each of them another: a block of equal minutes would be packed away.
                let minute = round * 60 + dice.random_range(0..60);
                picture.set_service_now(SystemClock.now() + TimeDelta::minutes(minute));
                picture.touch(device_no);
            }
            let before = self.world.postgres.wal().await?;
            let started = Instant::now();
            flush(&pool, &picture, Uuid::from_u128(1)).await?;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
            wal.push((self.world.postgres.wal().await? - before) as f64 / 1e6);
        }
        self.report.add("contacts.time", times);
        self.report.add("contacts.wal", wal);
        Ok(())
    }
}
