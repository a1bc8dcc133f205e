//! How sentences write numbers, shares, times and durations: one way everywhere.

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;

/// `2,343`.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 device`, `2,343 devices`.
pub fn devices(n: u64) -> String {
    count(n, "device")
}

/// `1 failure`, `3 failures`.
pub fn count(n: u64, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {noun}{s}", number(n))
}

/// A share 0 to 1 as `9.2 %`; no decimals at 0 % and 100 %.
pub fn share(share: f64) -> String {
    if share <= 0.0 {
        "0 %".to_owned()
    } else if share >= 1.0 {
        "100 %".to_owned()
    } else {
        format!("{:.1} %", share * 100.0)
    }
}

/// A limit 0 to 100 as people wrote it: `5 %`, `2.5 %`.
pub fn limit(percent: f64) -> String {
    format!("{percent} %")
}

/// `484 of 2,343 (20.7 %)`.
pub fn part(part: u64, whole: u64) -> String {
    if whole == 0 {
        return format!("{} of 0", number(part));
    }
    format!(
        "{} of {} ({})",
        number(part),
        number(whole),
        share(ratio(part, whole))
    )
}

/// Part of a whole, 0 to 1; 0 of 0 is 0.
#[allow(clippy::cast_precision_loss)] // Devices are far below 2^53.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

/// What people wrote, ended like a sentence.
pub fn ended(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

/// `4 d 5 h`, `3 h 20 min`, `50 s`: the two largest units.
pub fn duration(duration: Duration) -> String {
    let s = duration.num_seconds().max(0);
    let units = [
        (s / 86_400, "d"),
        (s / 3600 % 24, "h"),
        (s / 60 % 60, "min"),
        (s % 60, "s"),
    ];
    let first = units.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    let shown: Vec<String> = units[first..]
        .iter()
        .take(2)
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n} {unit}"))
        .collect();
    if shown.is_empty() {
        "0 s".to_owned()
    } else {
        shown.join(" ")
    }
}

/// `Thu 9 Apr 14:00 CEST`.
pub fn time(at: DateTime<Utc>, tz: Tz) -> String {
    at.with_timezone(&tz)
        .format("%a %-d %b %H:%M %Z")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(number(0), "0");
        assert_eq!(number(2343), "2,343");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(part(484, 2343), "484 of 2,343 (20.7 %)");
        assert_eq!(part(20, 20), "20 of 20 (100 %)");
        assert_eq!(share(0.0921), "9.2 %");
        assert_eq!(limit(5.0), "5 %");
        assert_eq!(limit(2.5), "2.5 %");
        assert_eq!(devices(1), "1 device");
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        assert_eq!(duration(Duration::hours(101)), "4 d 5 h");
        assert_eq!(duration(Duration::seconds(230)), "3 min 50 s");
        assert_eq!(duration(Duration::hours(2)), "2 h");
        assert_eq!(duration(Duration::zero()), "0 s");
    }

    #[test]
    fn times_name_their_zone() {
        let at = DateTime::parse_from_rfc3339("2026-04-09T12:00:00Z")
            .unwrap()
            .to_utc();
        assert_eq!(time(at, chrono_tz::Europe::Berlin), "Thu 9 Apr 14:00 CEST");
        assert_eq!(time(at, Tz::UTC), "Thu 9 Apr 12:00 UTC");
    }
}
