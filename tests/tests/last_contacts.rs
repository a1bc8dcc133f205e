//! Last contacts: kept in memory, written down in blocks.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chrono::{DateTime, TimeDelta, Utc};
use server::fleet::{Picture, flush};
use server::store::devices::Sketch;
use server::store::seen;
use servicing::Sha256;
use tests::Database;
use uuid::Uuid;

const START: DateTime<Utc> = DateTime::from_timestamp(1_795_000_020, 0).expect("a date");

/// Somebody in each of three blocks.
const DEVICES: [i32; 4] = [1, 2, 1500, 5000];

fn picture() -> Picture {
    let picture = Picture::default();
    for device_no in DEVICES {
        picture.place(&Sketch {
            device_no,
            ring_id: Uuid::nil(),
            generation: 1,
            admitted: true,
            inventory_digest: Sha256::of(b"x"),
        });
    }
    picture
}

#[tokio::test]
async fn what_was_heard_is_written_once_and_again_after_a_failure() {
    let database = Database::create().await;
    let (picture, replica) = (picture(), Uuid::new_v4());
    let minute = |n| START + TimeDelta::minutes(n);
    let stored = async || {
        let mut conn = database.pool.acquire().await.unwrap();
        let newest = seen::newest(&mut conn, &DEVICES).await.unwrap();
        DEVICES.map(|d| newest.get(&d).map(|at| (*at - START).num_minutes()))
    };
    let writes = async || {
        let sql = "SELECT string_agg(xmin::text, ' ' ORDER BY shard) FROM seen";
        let read = sqlx::query_scalar::<_, Option<String>>(sql);
        read.fetch_one(&database.pool).await.unwrap()
    };
    flush(&database.pool, &picture, replica).await.unwrap();
    assert_eq!(writes().await, None, "nobody was heard of");

    picture.set_service_now(START);
    DEVICES[..3].iter().for_each(|d| picture.touch(*d));
    picture.set_service_now(minute(7));
    picture.touch(2);
    flush(&database.pool, &picture, replica).await.unwrap();
    assert_eq!(stored().await, [Some(0), Some(7), Some(0), None]);

    let before = writes().await;
    picture.touch(2);
    flush(&database.pool, &picture, replica).await.unwrap();
    assert_eq!(writes().await, before, "the same minute is no news");

    picture.set_service_now(minute(9));
    picture.touch(5000);
    let closed = sqlx::PgPool::connect(&database.url()).await.unwrap();
    closed.close().await;
    assert!(flush(&closed, &picture, replica).await.is_err());
    assert_eq!(stored().await, [Some(0), Some(7), Some(0), None]);
    flush(&database.pool, &picture, replica).await.unwrap();
    assert_eq!(stored().await, [Some(0), Some(7), Some(0), Some(9)]);
    for (device_no, minutes) in [(1, 0), (2, 7), (5000, 9)] {
        assert_eq!(picture.last_seen(device_no), Some(minute(minutes)));
    }
}
