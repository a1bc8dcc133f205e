//! Devices, as they lie in the database after they enrolled.

use anyhow::ensure;
use server::clock::{Clock, SystemClock};
use server::store::{cohorts, sequences};
use servicing::{
    Architecture, Build, Edition, Facts, Ledger, LedgerEntry, PackageState, Planned, Product,
    Series, Sha256,
};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{BUILD, CONTESTANTS, World};

/// Rows of one statement.
const CHUNK: i32 = 100_000;

const MAKERS: [(&str, &str); 4] = [
    ("Dell Inc.", "Latitude"),
    ("HP", "EliteBook"),
    ("LENOVO", "ThinkPad"),
    ("Microsoft Corporation", "Surface"),
];

/// Kinds of devices: 24, of twelve models with two BIOS versions each.
fn kinds() -> Vec<(Facts, Ledger)> {
    let build = Build {
        base: 26100,
        ubr: 8037,
    };
    let entry = |name: &str, version: &str| LedgerEntry {
        identity: format!("{name}~31bf3856ad364e35~amd64~~{version}"),
        kb: None,
        build: None,
        state: PackageState::Installed,
        at: None,
        client: Some("UpdateAgentLCU".into()),
    };
    let ledger = Ledger(vec![
        LedgerEntry {
            build: Some(build),
            ..entry("Package_for_RollupFix", "26100.8037.1.12")
        },
        entry("Package_for_ServicingStack_8030", "26100.8030.1.0"),
        entry("Package_for_DotNetRollup_481", "10.0.9320.1"),
        entry("Microsoft-Windows-FodMetadata-Package", "10.0.26100.1"),
    ]);
    (0..24)
        .map(|k| {
            let (maker, model) = MAKERS[k % 4];
            let edition = if k % 3 == 0 {
                "Enterprise"
            } else {
                "Professional"
            };
            let edition = edition.parse::<Edition>().expect("an edition");
            let facts = Facts {
                manufacturer: maker.into(),
                model: format!("{model} {}", 5000 + k % 12),
                bios_version: format!("1.{}.{}", 10 + k % 12, k / 12),
                free_disk_bytes: 96 << 30,
                tags: vec![format!("site-{}", k % 6)],
                utc_offset_minutes: 60,
                attributes: std::collections::BTreeMap::new(),
                ..Facts::of_platform(
                    Product::Client,
                    build,
                    Series::Standard,
                    edition,
                    Architecture::X64,
                )
            };
            (facts, ledger.clone())
        })
        .collect()
}

impl World {
    /// Writes the devices of both tracks.
    pub(super) async fn load_devices(&self) -> anyhow::Result<()> {
        let mut conn = self.postgres.pool.acquire().await?;
        let kinds = kinds();
        let stored = sequences::by_id(&mut conn, self.sequence).await?;
        let sequence = stored.map(|s| s.sequence);
        let target: Build = BUILD
            .parse()
            .map_err(|_| anyhow::anyhow!("{BUILD} is no build"))?;
        let mut variants = sequence.iter().flat_map(|s| &s.variants);
        ensure!(
            variants.any(|v| v.target_ubr == Some(target.ubr)),
            "the sequence does not bring {BUILD}"
        );
        sqlx::query("CREATE TEMP TABLE kind (k int, edition text, cohorts smallint[], facts jsonb, ledger jsonb, digest bytea)")
            .execute(&mut *conn)
            .await?;
        for (k, (facts, ledger)) in (0_i32..).zip(&kinds) {
            let planned = sequence.as_ref().map(|s| servicing::plan(s, facts, ledger));
            ensure!(
                matches!(planned, Some(Planned::Steps(_))),
                "devices do not need the sequence: {planned:?}"
            );
            let facts_json = serde_json::to_value(facts)?;
            let edition = facts_json["edition"].as_str().map(str::to_owned);
            let cohorts = cohorts::of(&mut conn, facts).await?;
            let digest = Sha256::of(facts_json.to_string().as_bytes());
            sqlx::query("INSERT INTO kind VALUES ($1, $2, $3, $4, $5, $6)")
                .bind(k)
                .bind(edition)
                .bind(cohorts)
                .bind(facts_json)
                .bind(serde_json::to_value(ledger)?)
                .bind(&digest.as_bytes()[..])
                .execute(&mut *conn)
                .await?;
        }
        let kinds = i32::try_from(kinds.len())?;
        // A million rows at once are counted once, not by the counters' triggers.
        let triggers = |word| AssertSqlSafe(format!("ALTER TABLE device {word} TRIGGER USER"));
        sqlx::query(triggers("DISABLE")).execute(&mut *conn).await?;
        for (track, first, last) in [
            (self.fleet, 1, self.devices),
            (self.contest, self.devices + 1, self.devices + CONTESTANTS),
        ] {
            let mut from = first;
            while from <= last {
                let to = last.min(from + CHUNK - 1);
                insert(&mut conn, track, from, to, kinds).await?;
                from = to + 1;
            }
        }
        sqlx::query(triggers("ENABLE")).execute(&mut *conn).await?;
        for statement in [
            "SELECT count_again()",
            "VACUUM ANALYZE device",
            "VACUUM ANALYZE device_cursor",
            "CHECKPOINT",
        ] {
            sqlx::query(statement).execute(&mut *conn).await?;
        }
        Ok(())
    }
}

async fn insert(
    conn: &mut sqlx::PgConnection,
    track: Uuid,
    from: i32,
    to: i32,
    kinds: i32,
) -> anyhow::Result<()> {
    let last: i32 = sqlx::query_scalar(
        "WITH new AS (
             INSERT INTO device (id, track_id, ring_id, status, incarnation, generation, public_key, serial, smbios_uuid, host_name, agent_version,
                 product, base, ubr, series, edition, architecture, cohorts, facts, ledger, inventory_digest, enrolled_at)
             SELECT gen_random_uuid(), r.track_id, r.id, 'admitted', 1, 1, decode(md5('a' || i) || md5('b' || i), 'hex'), 'SN' || i,
                 gen_random_uuid(), 'PC-' || lpad(i::text, 7, '0'), '0.1.0',
                 'client', 26100, 8037, 'standard', k.edition, 'x64', k.cohorts, k.facts, k.ledger, k.digest, $5
             FROM generate_series($2::int, $3) AS i JOIN kind k ON k.k = i % $4 JOIN ring r ON r.track_id = $1 ORDER BY i
             RETURNING device_no, enrolled_at),
         cursors AS (INSERT INTO device_cursor (device_no, epoch, heard_at) SELECT device_no, 1, enrolled_at FROM new)
         SELECT max(device_no) FROM new",
    )
    .bind(track)
    .bind(from)
    .bind(to)
    .bind(kinds)
    .bind(SystemClock.now())
    .fetch_one(conn)
    .await?;
    ensure!(
        last == to,
        "devices are numbered to {last} where {to} was expected"
    );
    Ok(())
}
