//! Time that falls on working days. A soak over a weekend shows nothing: nobody is at the devices.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveTime, TimeZone, Utc, Weekday};
use chrono_tz::Tz;

/// How much of the time between two moments falls on Monday to Friday in a time zone; none where `to` is not
/// after `from`.
#[must_use]
pub fn working_time(from: DateTime<Utc>, to: DateTime<Utc>, tz: Tz) -> Duration {
    let mut worked = Duration::zero();
    let mut at = from;
    while at < to {
        let end = day_end(at, tz).min(to);
        if is_working_day(at, tz) {
            worked += end - at;
        }
        at = end;
    }
    worked
}

/// When so many hours of working days will have passed.
#[must_use]
pub fn working_end(from: DateTime<Utc>, hours: u32, tz: Tz) -> DateTime<Utc> {
    let mut left = Duration::hours(i64::from(hours));
    let mut at = from;
    while left > Duration::zero() {
        let end = day_end(at, tz);
        if is_working_day(at, tz) {
            let used = left.min(end - at);
            left -= used;
            at += used;
        } else {
            at = end;
        }
    }
    at
}

/// From when on so many hours of working days have passed.
#[must_use]
pub fn working_start(to: DateTime<Utc>, hours: u32, tz: Tz) -> DateTime<Utc> {
    let mut left = Duration::hours(i64::from(hours));
    let mut at = to;
    while left > Duration::zero() {
        // The day that ends at midnight is that of the moment before.
        let before = at - Duration::nanoseconds(1);
        let start = day_start(before.with_timezone(&tz).date_naive(), tz)
            .filter(|start| *start < at)
            .unwrap_or(at - Duration::days(1));
        if is_working_day(before, tz) {
            let used = left.min(at - start);
            left -= used;
            at -= used;
        } else {
            at = start;
        }
    }
    at
}

fn is_working_day(at: DateTime<Utc>, tz: Tz) -> bool {
    !matches!(at.with_timezone(&tz).weekday(), Weekday::Sat | Weekday::Sun)
}

/// The next local midnight. Where the clocks jump over it, the first moment after; where a whole day is
/// missing (the date line), the day after that.
fn day_end(at: DateTime<Utc>, tz: Tz) -> DateTime<Utc> {
    let mut day = at.with_timezone(&tz).date_naive();
    for _ in 0..3 {
        day = day.succ_opt().unwrap_or(NaiveDate::MAX);
        if let Some(start) = day_start(day, tz)
            && start > at
        {
            return start;
        }
    }
    at + Duration::days(1)
}

fn day_start(day: NaiveDate, tz: Tz) -> Option<DateTime<Utc>> {
    // Clocks jump by at most an hour at midnight, in half hours in some zones.
    (0..=4).find_map(|half_hours| {
        let local = day.and_time(NaiveTime::MIN) + Duration::minutes(30 * half_hours);
        tz.from_local_datetime(&local)
            .earliest()
            .map(|start| start.to_utc())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn a_weekend_adds_nothing_to_a_soak() {
        // Friday 12:00 to Monday 12:00.
        let (from, to) = (at("2026-04-10T12:00:00Z"), at("2026-04-13T12:00:00Z"));
        assert_eq!(working_time(from, to, Tz::UTC), Duration::hours(24));
        assert_eq!(working_end(from, 24, Tz::UTC), to);
        assert_eq!(working_time(to, from, Tz::UTC), Duration::zero());
    }

    #[test]
    fn the_working_week_is_that_of_the_tracks_zone() {
        // Sunday 22:00 UTC is Monday 00:00 in Berlin, and still Sunday in New York.
        let (from, to) = (at("2026-04-12T22:00:00Z"), at("2026-04-13T00:00:00Z"));
        assert_eq!(
            working_time(from, to, chrono_tz::Europe::Berlin),
            Duration::hours(2)
        );
        assert_eq!(
            working_time(from, to, chrono_tz::America::New_York),
            Duration::zero()
        );
    }

    #[test]
    fn a_day_on_which_the_clocks_change_counts_as_long_as_it_was() {
        // Cairo sprang forward at midnight of Friday 24 April 2026: that day has 23 hours and no 00:00.
        let cairo = chrono_tz::Africa::Cairo;
        let (from, to) = (at("2026-04-23T22:00:00Z"), at("2026-04-24T21:00:00Z"));
        assert_eq!(working_time(from, to, cairo), Duration::hours(23));
        // Samoa had no Friday 30 December 2011.
        let (from, to) = (at("2011-12-29T10:00:00Z"), at("2012-01-02T10:00:00Z"));
        assert!(working_time(from, to, chrono_tz::Pacific::Apia) <= Duration::hours(48));
    }

    #[test]
    fn a_soak_ends_when_its_working_time_is_over() {
        for hours in [0, 1, 23, 24, 48, 100, 720] {
            let from = at("2026-03-27T17:42:07Z");
            let end = working_end(from, hours, chrono_tz::Europe::Berlin);
            let worked = working_time(from, end, chrono_tz::Europe::Berlin);
            assert_eq!(worked, Duration::hours(i64::from(hours)));
        }
    }

    #[test]
    fn what_lies_a_working_day_back_is_before_the_weekend() {
        // Monday 09:00 in Berlin: 9 hours of Monday, and 15 of Friday.
        let start = working_start(at("2026-04-13T07:00:00Z"), 24, chrono_tz::Europe::Berlin);
        assert_eq!(start, at("2026-04-10T07:00:00Z"));
        for hours in [0, 1, 23, 24, 48, 100, 720] {
            let to = at("2026-03-31T17:42:07Z");
            let start = working_start(to, hours, chrono_tz::Europe::Berlin);
            let worked = working_time(start, to, chrono_tz::Europe::Berlin);
            assert_eq!(worked, Duration::hours(i64::from(hours)));
            assert!(start <= to);
        }
        // At a midnight, and over a day that the calendar leaves out.
        let monday = at("2026-04-13T00:00:00Z");
        assert_eq!(
            working_start(monday, 1, Tz::UTC),
            at("2026-04-10T23:00:00Z")
        );
        let apia = chrono_tz::Pacific::Apia;
        let to = at("2012-01-02T10:00:00Z");
        assert_eq!(
            working_time(working_start(to, 24, apia), to, apia),
            Duration::hours(24)
        );
    }
}
