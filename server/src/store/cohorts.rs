//! The dictionary of cohort values.

use std::collections::{BTreeMap, BTreeSet};

use engine::evidence::{Cohort, CohortKind, Counts};
use engine::ids::{CohortId, TrackId};
use servicing::Facts;
use sqlx::PgConnection;

use super::{from_word, word};

/// Kinds in the order in which a device's row lists its cohorts.
pub const KINDS: [CohortKind; 5] = [
    CohortKind::Model,
    CohortKind::Bios,
    CohortKind::Architecture,
    CohortKind::Build,
    CohortKind::Edition,
];

/// Values of one kind that get an id; later ones are `other`. A device that invents models can not use up the ids.
const MOST_VALUES: i64 = 5_000;

/// Id of the value `other` of a kind: for values first seen after a rollout started.
#[must_use]
pub fn other(kind: CohortKind) -> i16 {
    KINDS
        .iter()
        .chain(&CohortKind::ATTRIBUTES)
        .position(|k| *k == kind)
        .and_then(|i| i16::try_from(i + 1).ok())
        .unwrap_or(1)
}

/// Values of one attribute that get an id when a rollout starts; the others are `other`.
const MOST_JUDGED: i64 = 500;

/// A fact that every device has and that is judged only where a track says so.
const EDITION: &str = "edition";

/// What a device is alike in by an attribute, or by its edition: `edr Contoso 7.2`. One that does not report it is like the others that
/// do not.
#[must_use]
pub fn by_attribute(facts: &Facts, name: &str) -> String {
    let reported = facts.attributes.get(name).map(String::as_str);
    named_value(
        name,
        if name == EDITION {
            Some(facts.edition.as_str())
        } else {
            reported
        },
    )
}

fn named_value(name: &str, value: Option<&str>) -> String {
    format!("{name} {}", value.unwrap_or("not reported"))
}

/// Values of a device, in the order of [`KINDS`]. BIOS versions repeat between models, so the model is part of them.
fn values(facts: &Facts) -> anyhow::Result<[String; 5]> {
    Ok([
        facts.model.clone(),
        format!("{}, BIOS {}", facts.model, facts.bios_version),
        word(&facts.architecture)?,
        facts.build.to_string(),
        facts.edition.to_string(),
    ])
}

/// Cohorts that a rollout on a track has when it starts: those of the track's devices, and `other` of each kind.
///
/// # Errors
/// When the database fails.
pub async fn of_track(conn: &mut PgConnection, track: TrackId) -> sqlx::Result<Vec<i16>> {
    sqlx::query_scalar!(
        r#"SELECT cohort AS "cohort!" FROM track_cohort WHERE track_id = $1 UNION SELECT id FROM cohort WHERE id BETWEEN 1 AND 5 ORDER BY 1"#,
        track.0,
    )
    .fetch_all(conn)
    .await
}

/// Cohorts of these attributes, in their order: the values that devices of the track report, those that report none, and `other`.
/// New values get an id.
///
/// # Errors
/// When the database fails.
pub async fn of_attributes(
    conn: &mut PgConnection,
    track: TrackId,
    names: &[String],
) -> anyhow::Result<Vec<i16>> {
    let mut cohorts = Vec::new();
    for (kind, name) in CohortKind::ATTRIBUTES.into_iter().zip(names) {
        let reported = sqlx::query_scalar!(
            r#"SELECT value AS "value!" FROM track_attribute WHERE track_id = $1 AND name = $2 AND name <> $4
               UNION SELECT c.value FROM track_cohort t JOIN cohort c ON c.id = t.cohort
               WHERE t.track_id = $1 AND $2 = $4 AND c.kind = 'edition' AND c.value <> 'other' ORDER BY 1 LIMIT $3"#,
            track.0,
            name,
            MOST_JUDGED,
            EDITION,
        )
        .fetch_all(&mut *conn)
        .await?;
        let mut values: Vec<String> = reported
            .iter()
            .map(|value| named_value(name, Some(value)))
            .collect();
        values.push(named_value(name, None));
        let word = word(&kind)?;
        let wanted = values.iter().map(|value| (word.as_str(), value.as_str()));
        let ids = ids_of(&mut *conn, &wanted.collect()).await?;
        cohorts.extend(ids.into_values());
        cohorts.push(other(kind));
    }
    cohorts.sort_unstable();
    Ok(cohorts)
}

/// Cohorts of [`of_track`] with their kinds and values, without a count.
///
/// # Errors
/// When the database fails, or what it holds can not be read.
pub async fn named(
    conn: &mut PgConnection,
    track: TrackId,
) -> anyhow::Result<BTreeMap<CohortId, Cohort>> {
    let ids = of_track(&mut *conn, track).await?;
    let rows = sqlx::query!(
        "SELECT id, kind, value FROM cohort WHERE id = ANY($1)",
        &ids
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let cohort = Cohort {
                kind: from_word("cohort kind", r.kind)?,
                value: r.value,
                counts: Counts::default(),
            };
            Ok((CohortId(r.id), cohort))
        })
        .collect()
}

/// Ids of a device's cohorts, in the order of [`KINDS`]; new values get an id.
///
/// # Errors
/// When the database fails.
pub async fn of(conn: &mut PgConnection, facts: &Facts) -> anyhow::Result<Vec<i16>> {
    Ok(of_all(conn, &[facts]).await?.pop().unwrap_or_default())
}

/// The same for several devices, in their order.
///
/// # Errors
/// When the database fails.
pub async fn of_all(conn: &mut PgConnection, facts: &[&Facts]) -> anyhow::Result<Vec<Vec<i16>>> {
    let words: Vec<String> = KINDS.iter().map(word).collect::<anyhow::Result<_>>()?;
    let values: Vec<[String; 5]> = facts
        .iter()
        .map(|facts| values(facts))
        .collect::<anyhow::Result<_>>()?;
    let pairs = values.iter().flat_map(|of| words.iter().zip(of));
    let wanted: BTreeSet<Value<'_>> = pairs
        .map(|(kind, value)| (kind.as_str(), value.as_str()))
        .collect();
    let ids = ids_of(conn, &wanted).await?;
    let id = |(word, kind): (&String, CohortKind), value: &String| {
        let id = ids.get(&(word.as_str(), value.as_str()));
        id.copied().unwrap_or_else(|| other(kind))
    };
    let kinds = || words.iter().zip(KINDS);
    Ok(values
        .iter()
        .map(|of| {
            kinds()
                .zip(of)
                .map(|(kind, value)| id(kind, value))
                .collect()
        })
        .collect())
}

/// Ids of values; new ones get one while there is room for their kind.
async fn ids_of<'a>(
    conn: &mut PgConnection,
    wanted: &BTreeSet<Value<'a>>,
) -> sqlx::Result<BTreeMap<Value<'a>, i16>> {
    let mut ids = lookup(&mut *conn, wanted).await?;
    let missing: BTreeSet<Value<'_>> = wanted
        .iter()
        .copied()
        .filter(|pair| !ids.contains_key(pair))
        .collect();
    if !missing.is_empty() {
        add(&mut *conn, &missing).await?;
        ids.extend(lookup(conn, &missing).await?);
    }
    Ok(ids)
}

/// Kind and value.
type Value<'a> = (&'a str, &'a str);

/// Gives ids to values that have none. Ids are scarce, 32,767, and one is spent for every row that is tried.
async fn add(conn: &mut PgConnection, missing: &BTreeSet<Value<'_>>) -> sqlx::Result<()> {
    let (kinds, values): (Vec<&str>, Vec<&str>) = missing.iter().copied().unzip();
    sqlx::query!(
        "INSERT INTO cohort (kind, value)
         SELECT k.kind, k.value FROM (SELECT *, row_number() OVER (PARTITION BY kind ORDER BY value) AS place
                                      FROM UNNEST($1::text[], $2::text[]) AS u (kind, value)) AS k
         WHERE NOT EXISTS (SELECT FROM cohort c WHERE c.kind = k.kind AND c.value = k.value)
           AND (SELECT count(*) FROM cohort c WHERE c.kind = k.kind) + k.place <= $3
         ON CONFLICT DO NOTHING",
        &kinds as &[&str], &values as &[&str], MOST_VALUES,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn lookup<'a>(
    conn: &mut PgConnection,
    wanted: &BTreeSet<Value<'a>>,
) -> sqlx::Result<BTreeMap<Value<'a>, i16>> {
    let (kinds, values): (Vec<&str>, Vec<&str>) = wanted.iter().copied().unzip();
    let rows = sqlx::query!(
        r#"SELECT k.n AS "n!", c.id FROM cohort c
           JOIN UNNEST($1::text[], $2::text[]) WITH ORDINALITY AS k (kind, value, n) USING (kind, value)"#,
        &kinds as &[&str], &values as &[&str],
    )
    .fetch_all(conn)
    .await?;
    let ids: BTreeMap<i64, i16> = rows.into_iter().map(|r| (r.n, r.id)).collect();
    let numbered = (1_i64..).zip(wanted.iter().copied());
    Ok(numbered
        .filter_map(|(n, pair)| Some((pair, *ids.get(&n)?)))
        .collect())
}
