//! Every page that people look at, on the world as it is when everything else was measured: all devices, and the events of
//! those that installed.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use server::auth::Passwords;
use server::clock::{Clock, SystemClock};
use server::store::sign_in;

use super::Bench;
use crate::load::Connection;
use crate::replica::Replica;
use crate::world::{ADA, Rollout};

const PASSWORD: &str = "walrus tin orbit lamp";

/// Times that a page is opened: the 99th percentile is then the last but one.
const TIMES: usize = 100;

impl Bench {
    /// Opens them.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a minute in microseconds is far below 2^52"
    )]
    pub(super) async fn pages(&mut self, rollout: Rollout) -> anyhow::Result<()> {
        println!("Pages");
        let server = self.serve()?;
        let cookie = self.sign_in(&server).await?;
        let mut table = String::from("| Page | p50, ms | p99, ms | KiB |\n|---|---|---|---|\n");
        let mut worst: f64 = 0.0;
        let mut connection = Connection::open(server.address).await?;
        for path in self.paths(rollout).await? {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: ringfence\r\nCookie: __Host-ringfence={cookie}\r\n\r\n"
            );
            let mut times = Histogram::<u64>::new(3)?;
            let mut size = 0;
            for _ in 0..TIMES {
                let started = Instant::now();
                let answer = connection.ask(request.as_bytes()).await?;
                times.record(u64::try_from(started.elapsed().as_micros())?)?;
                ensure!(
                    answer.status == 200,
                    "{path} was answered with {}",
                    answer.status
                );
                size = answer.body.len();
            }
            let ms = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
            worst = worst.max(ms(0.99));
            let shown = path.split_once("?q=").map_or(path.clone(), |(p, q)| {
                format!("{p}, searched for {}", q.replace("%3A", ":"))
            });
            let shown = shown.replace(&rollout.id.to_string(), "{rollout}");
            writeln!(
                table,
                "| {shown} | {:.1} | {:.1} | {} |",
                ms(0.5),
                ms(0.99),
                size.div_ceil(1024)
            )?;
        }
        let events: i64 = sqlx::query_scalar("SELECT count(*) FROM event")
            .fetch_one(&self.world.postgres.pool)
            .await?;
        self.report.note(format!(
            "Pages, with {events} events in the log:\n\n{table}"
        ));
        self.report.add("pages", vec![worst]);
        server.stop()
    }

    /// What somebody opens. Forms of actions are small pages of one row, and like each other.
    async fn paths(&self, rollout: Rollout) -> anyhow::Result<Vec<String>> {
        let device: uuid::Uuid = sqlx::query_scalar("SELECT id FROM device WHERE device_no = 7")
            .fetch_one(&self.world.postgres.pool)
            .await?;
        let (id, track, sequence) = (rollout.id, self.world.fleet, self.world.sequence);
        Ok(vec![
            "/overview".into(),
            "/rollouts".into(),
            format!("/rollouts/{id}"),
            "/rollouts/new".into(),
            format!("/rollouts/{id}/halt"),
            "/approvals".into(),
            "/sequences".into(),
            format!("/sequences/{sequence}"),
            "/devices".into(),
            "/devices?q=host%3APC-0000007".into(),
            "/devices?q=model%3A%22Latitude%205000%22".into(),
            "/devices?q=tag%3Asite-3".into(),
            format!("/devices?q=rollout%3A{id}%20state%3Asucceeded"),
            format!("/devices?q=rollout%3A{id}%20state%3Afailed"),
            format!("/devices/{device}"),
            "/tracks".into(),
            format!("/tracks/{track}"),
            format!("/tracks/{track}/rings"),
            "/enrolment-tokens".into(),
            "/people".into(),
            "/account".into(),
            "/audit".into(),
            "/audit/verify".into(),
        ])
    }

    /// Signs in as a person does; returns the session.
    async fn sign_in(&self, server: &Replica) -> anyhow::Result<String> {
        let mut conn = self.world.postgres.pool.acquire().await?;
        let hash = Passwords::default().hash(PASSWORD.into()).await?;
        sign_in::set_password(&mut conn, self.world.ada, &hash, SystemClock.now()).await?;
        let answer = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()?
            .post(format!("http://{}/sign-in", server.address))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(format!(
                "name={}&password={}",
                ADA.replace(' ', "+"),
                PASSWORD.replace(' ', "+")
            ))
            .send()
            .await?;
        let cookie = answer
            .headers()
            .get("set-cookie")
            .context("a sign-in without a session")?;
        let (_, rest) = cookie
            .to_str()?
            .split_once("__Host-ringfence=")
            .context("another cookie")?;
        Ok(rest.split(';').next().unwrap_or_default().to_owned())
    }
}
