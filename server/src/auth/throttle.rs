//! Passwords that were tried and were wrong: counted in the database, for all replicas, before they are looked at.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use servicing::Sha256;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::store::sign_in as store;

/// Failures are forgotten after a day.
const MEMORY: TimeDelta = TimeDelta::hours(24);

/// The longest anybody has to wait between two tries.
const LONGEST_WAIT_S: i64 = 900;

/// Tries without a wait: people mistype.
const FREE: i32 = 5;

/// An address can be an office's.
const FREE_BY_ADDRESS: i32 = 30;

/// Whoever knows a name can use these up from several addresses and keep the person waiting: as many as guessing from
/// everywhere at once leaves room for.
const FREE_BY_NAME: i32 = 50;

/// What failures are counted under.
pub(super) struct Counter {
    key: [u8; 32],
    /// So many are without a wait.
    free: i32,
    /// It counts tries of many people: one who knows their password says nothing about the others.
    shared: bool,
}

impl Counter {
    /// A hash is stored, because people type passwords into the wrong field.
    fn new(kind: &str, value: &str, free: i32) -> Self {
        Self {
            key: *Sha256::of(format!("{kind}:{value}").as_bytes()).as_bytes(),
            free,
            shared: false,
        }
    }
}

/// What a sign-in is counted under: the name from this address, the name from everywhere, the address.
pub(super) fn at_sign_in(name: &str, address: IpAddr) -> [Counter; 3] {
    let (name, address) = (name.to_lowercase(), network(address));
    [
        Counter::new("pair", &format!("{address} {name}"), FREE),
        Counter::new("name", &name, FREE_BY_NAME),
        Counter {
            shared: true,
            ..Counter::new("address", &address, FREE_BY_ADDRESS)
        },
    ]
}

/// What is counted for someone who is signed in: strangers, who have no session, can not use their tries up.
pub(super) fn at_step_up(person: Uuid) -> [Counter; 1] {
    [Counter::new("step-up", &person.to_string(), FREE)]
}

/// An IPv6 network of one customer counts as one address.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{:x?}", &v6.segments()[..4]),
    }
}

/// Seconds to wait after so many failures: doubling beyond those that are free, up to a quarter of an hour.
fn wait_s(failures: i32, free: i32) -> i64 {
    if failures < free {
        return 0;
    }
    let doublings = u32::try_from(failures - free).unwrap_or(0).min(10);
    2_i64.pow(doublings).min(LONGEST_WAIT_S)
}

/// Counts a try as failed until its password is checked, so that many at once do not slip by. Where it comes too
/// early nothing is counted, and the seconds to wait are returned.
pub(super) async fn begin(
    conn: &mut PgConnection,
    counters: &[Counter],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    let since = now - MEMORY;
    let mut wait = 0;
    // All tries lock in the same order of kinds, and one of each kind: none waits for one that waits for it.
    for counter in counters {
        let (failures, last) = store::failures(conn, &counter.key, now, since).await?;
        wait = wait.max(wait_s(failures, counter.free) - (now - last).num_seconds());
    }
    if wait > 0 {
        return Ok(Some(wait));
    }
    for counter in counters {
        store::count_failure(conn, &counter.key, now, since).await?;
    }
    Ok(None)
}

/// The password was the right one.
pub(super) async fn was_right(conn: &mut PgConnection, counters: &[Counter]) -> sqlx::Result<()> {
    for counter in counters {
        if counter.shared {
            store::uncount_failure(conn, &counter.key).await?;
        } else {
            store::forget_failures(conn, &counter.key).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_have_an_end() {
        assert_eq!(wait_s(4, FREE), 0);
        assert_eq!(wait_s(5, FREE), 1);
        assert_eq!(wait_s(8, FREE), 8);
        assert_eq!(wait_s(i32::MAX, FREE), LONGEST_WAIT_S);
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_two_offices_are_two() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn a_name_counts_by_address_and_a_session_by_itself() {
        let keys = |name: &str, address: &str| {
            at_sign_in(name, address.parse().unwrap()).map(|counter| counter.key)
        };
        let [pair, name, address] = keys("Ada", "192.0.2.1");
        assert_eq!(keys("ADA", "192.0.2.1"), [pair, name, address]);
        let [other_pair, same_name, other_address] = keys("Ada", "192.0.2.2");
        assert_eq!(same_name, name);
        assert!(other_pair != pair && other_address != address);
        assert_ne!(keys("Kai", "192.0.2.1")[0], pair);
        let [one, two] = [1, 2].map(|n| at_step_up(Uuid::from_u128(n))[0].key);
        assert_ne!(one, two);
    }
}
