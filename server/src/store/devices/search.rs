//! Which devices a query takes. One statement for devices and one for progress, each with every term as a parameter:
//! what is not asked for is folded away when the statement is planned.

use chrono::{DateTime, Utc};
use engine::ring::{Pattern, Subject};
use servicing::HResult;
use sqlx::PgConnection;
use uuid::Uuid;

use super::places::{Candidate, Platform};
use super::query::{DeviceQuery, Test};
use super::registry::by_nos;
use super::terms::Rows;

/// Devices of one platform and their class for a rollout.
#[derive(Debug, Clone)]
pub struct Group {
    /// Rollout.
    pub rollout: Uuid,
    /// Platform.
    pub platform: Platform,
    /// Class.
    pub class: String,
}

/// Says of a device's number and its written last contact whether it is looked for.
pub type Heard<'a> = Box<dyn Fn(i32, Option<DateTime<Utc>>) -> bool + Send + Sync + 'a>;

/// What is looked for, and where.
pub struct Search<'a> {
    /// The query.
    pub query: &'a DeviceQuery,
    /// On these tracks; none: on all.
    pub tracks: Option<&'a [Uuid]>,
    /// Whether the last contact of a device, as it was written, is as the query asks; none where it does not ask.
    pub heard: Option<Heard<'a>>,
    /// Rollouts that states are about, the first that is for a device counts.
    pub candidates: Vec<Candidate>,
    /// Classes, where the query asks for them.
    pub groups: Vec<Group>,
}

impl Search<'_> {
    /// The last contact is as the query asks, or it does not ask.
    pub(super) fn is_heard(&self, device_no: i32, written: Option<DateTime<Utc>>) -> bool {
        self.heard
            .as_ref()
            .is_none_or(|heard| heard(device_no, written))
    }
}

/// Terms about progress.
#[derive(Debug, Default)]
struct Asked {
    states: Vec<String>,
    no_states: Vec<String>,
    codes: Vec<i32>,
    no_codes: Vec<i32>,
    classes: Vec<String>,
    no_classes: Vec<String>,
}

impl Asked {
    fn of(query: &DeviceQuery) -> Self {
        let mut asked = Self::default();
        for term in &query.terms {
            match &term.test {
                Test::State(word) if term.negated => asked.no_states.push((*word).to_owned()),
                Test::State(word) => asked.states.push((*word).to_owned()),
                Test::Error(HResult(code)) if term.negated => {
                    asked.no_codes.push(code.cast_signed());
                }
                Test::Error(HResult(code)) => asked.codes.push(code.cast_signed()),
                Test::Class(class) if term.negated => asked.no_classes.push(class.0.clone()),
                Test::Class(class) => asked.classes.push(class.0.clone()),
                _ => {}
            }
        }
        asked
    }

    /// A state that devices have only once they began: an index leads to them.
    fn lead_state(&self) -> Option<&str> {
        let rowless = ["targeted", "complete", "ahead", "not_applicable"];
        let led = |word: &&String| !rowless.contains(&word.as_str()) && *word != "not_ready";
        self.states.iter().find(led).map(String::as_str)
    }

    /// Base builds and UBRs of those who are in a class without having begun: an index leads to them.
    fn lead_builds(&self, groups: &[Group]) -> Option<(Vec<i32>, Vec<i32>)> {
        let rowless = ["targeted", "complete", "ahead"];
        let word = self.states.iter().find(|w| rowless.contains(&w.as_str()))?;
        let of_class = groups.iter().filter(|g| g.class == *word);
        let mut builds: (Vec<i32>, Vec<i32>) =
            of_class.map(|g| (g.platform.base, g.platform.ubr)).unzip();
        for side in [&mut builds.0, &mut builds.1] {
            side.sort_unstable();
            side.dedup();
        }
        Some(builds)
    }

    fn lead_not_ready(&self) -> bool {
        self.states.iter().any(|word| word == "not_ready")
    }

    const fn needs_class(&self) -> bool {
        !self.classes.is_empty() || !self.no_classes.is_empty()
    }
}

impl DeviceQuery {
    /// It is about rollouts.
    #[must_use]
    pub fn asks_for_progress(&self) -> bool {
        self.terms.iter().any(|t| {
            matches!(
                t.test,
                Test::Rollout(_) | Test::State(_) | Test::Error(_) | Test::Class(_)
            )
        })
    }

    /// It takes the platforms of devices to answer it.
    #[must_use]
    pub fn asks_for_class(&self) -> bool {
        let rowless = ["targeted", "complete", "ahead", "not_applicable"];
        self.terms.iter().any(|t| match t.test {
            Test::Class(_) => true,
            Test::State(word) => rowless.contains(&word),
            _ => false,
        })
    }

    /// What devices are compared with after the database: letters beyond A to Z.
    fn holds(&self, device: &super::Device) -> bool {
        let subject = Subject {
            facts: &device.facts,
            host_name: &device.identity.host_name,
        };
        self.terms.iter().all(|term| match &term.test {
            Test::Device(test) => test.holds(&subject) != term.negated,
            Test::Serial(pattern) => pattern.matches(&device.identity.serial) != term.negated,
            _ => true,
        })
    }
}

/// Ids of the tracks and rings that terms name, in the order of the terms.
async fn named(conn: &mut PgConnection, query: &DeviceQuery) -> sqlx::Result<Vec<Vec<Uuid>>> {
    let asks = |t: &Test| matches!(t, Test::Track(_) | Test::Ring(_));
    if !query.terms.iter().any(|t| asks(&t.test)) {
        return Ok(Vec::new());
    }
    let rings = sqlx::query!("SELECT r.id, r.name, t.id AS track_id, t.name AS track FROM track t LEFT JOIN ring r ON r.track_id = t.id ORDER BY t.id")
        .fetch_all(conn)
        .await?;
    let of_track = |pattern: &Pattern| {
        let mut ids: Vec<Uuid> = rings
            .iter()
            .filter(|r| pattern.matches(&r.track))
            .map(|r| r.track_id)
            .collect();
        ids.dedup();
        ids
    };
    let of_ring = |pattern: &Pattern| {
        let all = rings.iter().filter(|r| pattern.matches(&r.name));
        all.map(|r| r.id).collect()
    };
    Ok(query
        .terms
        .iter()
        .filter_map(|term| match &term.test {
            Test::Track(pattern) => Some(of_track(pattern)),
            Test::Ring(pattern) => Some(of_ring(pattern)),
            _ => None,
        })
        .collect())
}

/// The part of a statement that both have in common.
macro_rules! hits {
    ($joins:literal, $ring:literal, $also:literal, $search:expr, $rows:expr, $among:expr, $after:expr, $until:expr, $limit:expr, $($more:expr),*) => {
        sqlx::query_scalar!(
            "SELECT d.device_no FROM device d " + $joins + "
             WHERE ($1::uuid[] IS NULL OR d.track_id = ANY($1)) AND d.device_no > $2 AND d.device_no <= $3
               AND ($1::uuid[] IS NULL OR d.ring_id = ANY(ARRAY(SELECT id FROM ring WHERE track_id = ANY($1))))
               AND ($5::int[] IS NULL OR d.device_no = ANY($5))
               AND ($6::text IS NULL OR lower(d.host_name COLLATE \"C\") LIKE $6)
               AND ($7::text IS NULL OR lower((d.facts ->> 'model') COLLATE \"C\") LIKE $7)
               AND ($8::jsonb IS NULL OR (lower((d.facts -> 'tags')::text COLLATE \"C\"))::jsonb @> $8)
               AND ($9::text IS NULL OR d.status = $9)
               AND (NOT $10::bool OR d.clone_suspected)
               AND (NOT $11::bool OR d.pin IS NOT NULL)
               AND ($12::int[] IS NULL OR d.base = ANY($12) AND d.ubr BETWEEN $13::bigint AND $14::bigint)
               AND ($15::uuid[] IS NULL OR d.ring_id = ANY($15))
               AND NOT EXISTS (
                   SELECT FROM UNNEST($16::bool[]) WITH ORDINALITY AS t (negated, no)
                   WHERE t.negated = EXISTS (
                       SELECT FROM UNNEST($17::bigint[], $18::text[], $19::text[], $20::text[], $21::int[], $22::bigint[], $23::bigint[])
                           AS c (term, kind, value, series, base, low, high)
                       WHERE c.term = t.no AND CASE c.kind
                           WHEN 'host' THEN lower(d.host_name COLLATE \"C\") LIKE c.value
                           WHEN 'model' THEN lower((d.facts ->> 'model') COLLATE \"C\") LIKE c.value
                           WHEN 'manufacturer' THEN lower((d.facts ->> 'manufacturer') COLLATE \"C\") LIKE c.value
                           WHEN 'bios' THEN lower((d.facts ->> 'bios_version') COLLATE \"C\") LIKE c.value
                           WHEN 'edition' THEN lower(d.edition COLLATE \"C\") LIKE c.value
                           WHEN 'attribute' THEN lower((d.facts -> 'attributes' ->> c.series) COLLATE \"C\") LIKE c.value
                           WHEN 'serial' THEN lower(d.serial COLLATE \"C\") LIKE c.value
                           WHEN 'tag' THEN EXISTS (SELECT FROM jsonb_array_elements_text(d.facts -> 'tags') AS g (tag)
                                                   WHERE lower(g.tag COLLATE \"C\") LIKE c.value)
                           WHEN 'arch' THEN d.architecture = c.value
                           WHEN 'product' THEN d.product = c.value
                           WHEN 'build' THEN d.product = c.value AND d.series = c.series AND d.base = c.base AND d.ubr BETWEEN c.low AND c.high
                           WHEN 'track' THEN d.track_id = c.value::uuid
                           WHEN 'ring' THEN " + $ring + " = c.value::uuid
                           WHEN 'status' THEN d.status = c.value
                           WHEN 'pinned' THEN d.pin IS NOT NULL
                           WHEN 'not_pinned' THEN d.pin IS NULL
                           WHEN 'clone' THEN d.clone_suspected
                           WHEN 'no_clone' THEN NOT d.clone_suspected
                           ELSE false END)) " + $also + "
             ORDER BY d.device_no LIMIT $4",
            $search.tracks, $after, $until, $limit, $among, $rows.lead.host, $rows.lead.model, $rows.lead.tag,
            $rows.lead.status, $rows.lead.clone, $rows.lead.pinned, $rows.lead.bases.as_deref(), $rows.lead.ubrs.0, $rows.lead.ubrs.1,
            $rows.lead.rings.as_deref(), &$rows.negated, &$rows.term, &$rows.kind, &$rows.value, &$rows.series, &$rows.base, &$rows.low,
            &$rows.high, $($more),*
        )
    };
}

/// Devices by what they are alone.
async fn plain(
    conn: &mut PgConnection,
    search: &Search<'_>,
    (rows, among): (&Rows, Option<&[i32]>),
    (after, until, limit): (i32, i32, i64),
) -> sqlx::Result<Vec<i32>> {
    hits!(
        "",
        "d.ring_id",
        "",
        search,
        rows,
        among,
        after,
        until,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Devices by what they are and how far they are, those with numbers up to `until`.
async fn with_progress(
    conn: &mut PgConnection,
    search: &Search<'_>,
    (rows, asked, among): (&Rows, &Asked, Option<&[i32]>),
    (after, until, limit): (i32, i32, i64),
) -> sqlx::Result<Vec<i32>> {
    let rollouts: Vec<Uuid> = search.candidates.iter().map(|c| c.rollout).collect();
    let tracks: Vec<Uuid> = search.candidates.iter().map(|c| c.track).collect();
    let listed: Vec<bool> = search.candidates.iter().map(|c| c.listed).collect();
    let groups = &search.groups;
    let of = |text: fn(&Group) -> &str| -> Vec<String> {
        groups.iter().map(|g| text(g).to_owned()).collect()
    };
    let number =
        |n: fn(&Platform) -> i32| -> Vec<i32> { groups.iter().map(|g| n(&g.platform)).collect() };
    let builds = asked.lead_builds(groups);
    hits!(
        "LEFT JOIN LATERAL (
             SELECT c.rollout_id, c.listed FROM UNNEST($24::uuid[], $25::uuid[], $26::bool[]) WITH ORDINALITY AS c (rollout_id, track_id, listed, rank)
             WHERE c.track_id = d.track_id
                   AND (NOT c.listed OR EXISTS (SELECT FROM rollout_device l WHERE l.rollout_id = c.rollout_id AND l.device_no = d.device_no))
                OR $27::bool AND EXISTS (SELECT FROM assignment x WHERE x.rollout_id = c.rollout_id AND x.device_no = d.device_no)
             ORDER BY c.rank LIMIT 1) AS r ON true
         LEFT JOIN assignment a ON a.rollout_id = r.rollout_id AND a.device_no = d.device_no
         LEFT JOIN stage s ON s.id = a.stage_id
         LEFT JOIN UNNEST($28::uuid[], $29::text[], $30::int[], $31::int[], $32::text[], $33::text[], $34::text[], $35::text[])
             AS g (rollout_id, product, base, ubr, series, edition, architecture, class)
             ON g.rollout_id = r.rollout_id AND g.product = d.product AND g.base = d.base AND g.ubr = d.ubr AND g.series = d.series
                AND g.edition = d.edition AND g.architecture = d.architecture AND d.status = 'admitted'
         LEFT JOIN LATERAL (
             SELECT CASE WHEN a.device_no IS NULL THEN ARRAY[split_part(COALESCE(g.class, ''), ':', 1)]
                         ELSE ARRAY[CASE a.suspicion WHEN 'hang' THEN 'hang_suspected' WHEN 'lost' THEN 'lost' ELSE a.state END]
                              || CASE WHEN a.not_ready IS NOT NULL AND a.counted & 2 = 0 THEN ARRAY['not_ready'] ELSE '{}' END END AS states,
                    CASE WHEN NOT $36::bool THEN '{}'
                         WHEN EXISTS (SELECT FROM assignment x JOIN rollout o ON o.id = x.rollout_id JOIN rollout k ON k.id = r.rollout_id
                                      WHERE x.device_no = d.device_no AND x.counted & 1 = 1
                                        AND (o.id = k.id OR NOT r.listed AND o.digest = k.digest AND o.track_id = k.track_id)) THEN ARRAY['targeted']
                         ELSE ARRAY[COALESCE(g.class, ''), split_part(COALESCE(g.class, ''), ':', 1)] END AS classes) AS p ON true",
        "COALESCE(CASE WHEN $27 THEN s.ring_id END, d.ring_id)",
        "AND (NOT $27 OR r.rollout_id IS NOT NULL)
         AND p.states @> $37::text[] AND NOT p.states && $38::text[]
         AND (a.code = ALL($39::int[])) IS TRUE AND (a.code = ANY($40::int[])) IS NOT TRUE
         AND p.classes @> $41::text[] AND NOT p.classes && $42::text[]
         AND ($43::text IS NULL AND NOT $44::bool AND $45::int IS NULL OR d.device_no = ANY(ARRAY(
             SELECT x.device_no FROM assignment x
             WHERE x.rollout_id = ANY($24) AND x.device_no > $2 AND x.device_no <= $3
               AND ($43 IS NULL OR CASE x.suspicion WHEN 'hang' THEN 'hang_suspected' WHEN 'lost' THEN 'lost' ELSE x.state END = $43)
               AND (NOT $44 OR x.not_ready IS NOT NULL) AND ($45 IS NULL OR x.code = $45))))
         AND ($46::int[] IS NULL OR d.base = ANY($46) AND d.ubr = ANY($47::int[]))",
        search, rows, among, after, until, limit,
        &rollouts, &tracks, &listed, search.query.rollout().is_some(),
        &groups.iter().map(|g| g.rollout).collect::<Vec<_>>(), &of(|g| &g.platform.product), &number(|p| p.base), &number(|p| p.ubr),
        &of(|g| &g.platform.series), &of(|g| &g.platform.edition), &of(|g| &g.platform.architecture), &of(|g| &g.class),
        asked.needs_class(), &asked.states, &asked.no_states, &asked.codes, &asked.no_codes, &asked.classes, &asked.no_classes,
        asked.lead_state(), asked.lead_not_ready(), asked.codes.first().copied(),
        builds.as_ref().map(|b| &b.0[..]), builds.as_ref().map(|b| &b.1[..])
    )
    .fetch_all(conn)
    .await
}

/// A search whose terms were looked at.
pub(super) struct Prepared<'s, 'a> {
    search: &'s Search<'a>,
    rows: Rows,
    asked: Asked,
}

impl<'s, 'a> Prepared<'s, 'a> {
    /// Looks at the terms. In a transaction: its statements are planned for the terms that there are.
    pub async fn of(conn: &mut PgConnection, search: &'s Search<'a>) -> anyhow::Result<Self> {
        sqlx::query!("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")
            .fetch_one(&mut *conn)
            .await?;
        let ring_is_now = search.query.rollout().is_none();
        let mut names = named(&mut *conn, search.query).await?.into_iter();
        Ok(Self {
            search,
            rows: Rows::of(&search.query.terms, &mut names, ring_is_now)?,
            asked: Asked::of(search.query),
        })
    }

    /// Devices of the answer with numbers above `after` and up to `until`, ascending, the first `limit`: among these, if
    /// such are given. The second value says where to go on where there may be more.
    pub async fn within(
        &self,
        conn: &mut PgConnection,
        among: Option<&[i32]>,
        (after, until, limit): (i32, i32, i64),
    ) -> anyhow::Result<(Vec<i32>, Option<i32>)> {
        let (search, rows, window) = (self.search, &self.rows, (after, until, limit));
        let mut found = if search.query.asks_for_progress() {
            with_progress(&mut *conn, search, (rows, &self.asked, among), window).await?
        } else {
            plain(&mut *conn, search, (rows, among), window).await?
        };
        let full = usize::try_from(limit).is_ok_and(|n| found.len() >= n);
        let next = found.last().copied().filter(|_| full);
        if rows.inexact {
            let devices = by_nos(conn, &found).await?;
            let held = devices.iter().filter(|d| search.query.holds(d));
            found = held.map(|d| d.device_no).collect();
        }
        Ok((found, next))
    }

    /// All devices above `after` that the terms with an index leave, ascending, where these are `most` at most: what
    /// else is asked need be looked for among them alone.
    pub async fn led(
        &self,
        conn: &mut PgConnection,
        after: i32,
        most: i64,
    ) -> sqlx::Result<Option<Vec<i32>>> {
        let (search, lead) = (self.search, &self.rows.lead);
        if self.begun() || !lead.leads() && search.tracks.is_none() {
            return Ok(None);
        }
        // Without an order and without a walk through all devices: where an index leads to few, that is quick.
        sqlx::query!("SELECT set_config('enable_seqscan', 'off', true)")
            .fetch_one(&mut *conn)
            .await?;
        let mut found =
            sqlx::query_scalar!(
                r#"SELECT d.device_no FROM device d
                   WHERE d.device_no > $2
                     AND ($1::uuid[] IS NULL OR d.ring_id = ANY(ARRAY(SELECT id FROM ring WHERE track_id = ANY($1))))
                     AND ($3::text IS NULL OR lower(d.host_name COLLATE "C") LIKE $3)
                     AND ($4::text IS NULL OR lower((d.facts ->> 'model') COLLATE "C") LIKE $4)
                     AND ($5::jsonb IS NULL OR (lower((d.facts -> 'tags')::text COLLATE "C"))::jsonb @> $5)
                     AND ($6::text IS NULL OR d.status = $6 AND d.status <> 'admitted')
                     AND (NOT $7::bool OR d.clone_suspected)
                     AND (NOT $8::bool OR d.pin IS NOT NULL)
                     AND ($9::int[] IS NULL OR d.base = ANY($9) AND d.ubr BETWEEN $10::bigint AND $11::bigint)
                     AND ($12::uuid[] IS NULL OR d.ring_id = ANY($12))
                     AND ($13::text IS NULL OR lower(d.serial COLLATE "C") LIKE $13)
                     AND ($14::uuid[] IS NULL OR d.ring_id = ANY(ARRAY(SELECT id FROM ring WHERE track_id = ANY($14)))) LIMIT $15"#,
                search.tracks, after, lead.host, lead.model, lead.tag,
                lead.status.as_deref().filter(|s| *s != "admitted"), lead.clone, lead.pinned, lead.bases.as_deref(),
                lead.ubrs.0, lead.ubrs.1, lead.rings.as_deref(), lead.serial, lead.tracks.as_deref(), most + 1,
            )
            .fetch_all(&mut *conn)
            .await?;
        sqlx::query!("SELECT set_config('enable_seqscan', 'on', true)")
            .fetch_one(conn)
            .await?;
        if i64::try_from(found.len()).is_ok_and(|n| n > most) {
            return Ok(None);
        }
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
    }

    /// It asks for devices that began something: an index leads to them, in order.
    pub fn begun(&self) -> bool {
        let asked = &self.asked;
        asked.lead_state().is_some() || asked.lead_not_ready() || !asked.codes.is_empty()
    }

    /// The next devices above `after` that began what is asked for, ascending, and up to which number these are all.
    pub async fn next_begun(
        &self,
        conn: &mut PgConnection,
        after: i32,
        limit: i32,
    ) -> anyhow::Result<(Vec<i32>, i32)> {
        let rollouts: Vec<Uuid> = self.search.candidates.iter().map(|c| c.rollout).collect();
        let mut found = sqlx::query_scalar!(
            r#"SELECT x.device_no AS "device_no!" FROM UNNEST($1::uuid[]) AS r (id) CROSS JOIN LATERAL (
                   SELECT a.device_no FROM assignment a WHERE a.rollout_id = r.id AND a.device_no > $2
                     AND ($3::text IS NULL OR CASE a.suspicion WHEN 'hang' THEN 'hang_suspected' WHEN 'lost' THEN 'lost' ELSE a.state END = $3)
                     AND (NOT $4::bool OR a.not_ready IS NOT NULL) AND ($5::int IS NULL OR a.code = $5)
                   ORDER BY a.device_no LIMIT $6) AS x
               ORDER BY 1 LIMIT $6"#,
            &rollouts,
            after,
            self.asked.lead_state(),
            self.asked.lead_not_ready(),
            self.asked.codes.first().copied(),
            i64::from(limit),
        )
        .fetch_all(conn)
        .await?;
        let full = found.len() >= usize::try_from(limit)?;
        let until = found.last().copied().filter(|_| full).unwrap_or(i32::MAX);
        found.dedup();
        Ok((found, until))
    }
}
