//! Maintenance windows: when devices of a ring may install and restart, in their own time.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc, Weekday};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Minutes of a week.
const WEEK: u16 = 7 * DAY;

/// Shorter ones are over before a device that was let in has restarted.
const SHORTEST: u16 = 30;

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Mon),
    ("Tue", Weekday::Tue),
    ("Wed", Weekday::Wed),
    ("Thu", Weekday::Thu),
    ("Fri", Weekday::Fri),
    ("Sat", Weekday::Sat),
    ("Sun", Weekday::Sun),
];

/// A minute of a week, from Monday 00:00 on, on a device's own clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WeekMinute(u16);

impl WeekMinute {
    /// Of a device that is so many minutes east of UTC.
    #[must_use]
    pub fn at(now: DateTime<Utc>, utc_offset_minutes: i32) -> Self {
        let local = (now + TimeDelta::minutes(utc_offset_minutes.into())).naive_utc();
        let day = local.weekday().num_days_from_monday() * u32::from(DAY);
        let minute = day + local.hour() * 60 + local.minute();
        Self(u16::try_from(minute).unwrap_or(0))
    }

    /// Minutes from here to the next time that it is `other`.
    fn until(self, other: u16) -> u16 {
        (other % WEEK + WEEK - self.0) % WEEK
    }
}

/// The same hours on some days of each week, written `Mon-Fri 22:00-05:00`, `Sat,Sun 00:00-24:00` or `daily 20:00-06:00`.
/// One that ends before it begins goes on into the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Bit by bit, Monday first: days on which it begins.
    days: u8,
    /// Minute of the day at which it begins.
    from: u16,
    /// Its length, minutes; a whole day at most.
    lasts: u16,
}

impl Window {
    /// Minutes that are left of it; none outside.
    #[must_use]
    pub fn left(self, now: WeekMinute) -> Option<u16> {
        self.begins()
            .map(|begin| now.until(begin + self.lasts))
            .filter(|left| (1..=self.lasts).contains(left))
            .max()
    }

    /// Minutes until it begins next; nothing while it is on is of interest, so that is not asked.
    #[must_use]
    pub fn opens_in(self, now: WeekMinute) -> u16 {
        let next = self.begins().map(|begin| now.until(begin));
        next.min().unwrap_or(0)
    }

    /// A device may start now and restart so many seconds later: both lie in it.
    #[must_use]
    pub fn takes(self, now: WeekMinute, restart_in_s: u32) -> bool {
        self.left(now)
            .is_some_and(|left| restart_in_s <= 60 * u32::from(left))
    }

    fn begins(self) -> impl Iterator<Item = u16> {
        (0..7)
            .filter(move |day| self.days & (1 << day) != 0)
            .map(move |day| day * DAY + self.from)
    }
}

/// What was expected of a window.
pub const EXPECTED: &str =
    "days and hours of at least 30 minutes, such as Mon-Fri 22:00-05:00 or daily 20:00-06:00";

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| -> Option<u16> {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok())?
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= DAY).then_some(minute)
}

fn days(text: &str) -> Option<u8> {
    if text.eq_ignore_ascii_case("daily") {
        return Some(0x7f);
    }
    let day = |text: &str| {
        let named = |(name, _): &(&str, Weekday)| name.eq_ignore_ascii_case(text);
        DAYS.iter().position(named)
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let span = (last + 7 - first) % 7;
        for at in first..=first + span {
            bits |= 1 << (at % 7);
        }
    }
    Some(bits)
}

impl FromStr for Window {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (on, hours) = text.trim().split_once(char::is_whitespace)?;
            let (from, to) = hours.trim().split_once('-')?;
            let (from, to) = (minute(from.trim())?, minute(to.trim())?);
            if from == DAY {
                return None;
            }
            let lasts = if to > from {
                to - from
            } else {
                to + DAY - from
            };
            let days = days(on)?;
            (lasts >= SHORTEST && from != to).then_some(Self { days, from, lasts })
        };
        read().ok_or(EXPECTED)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days == 0x7f {
            f.write_str("daily")?;
        } else {
            let on = |at: usize| self.days & (1 << at) != 0;
            let mut at = 0;
            let mut separator = "";
            while at < 7 {
                if !on(at) {
                    at += 1;
                    continue;
                }
                let end = (at..7).take_while(|day| on(*day)).last().unwrap_or(at);
                write!(f, "{separator}{}", DAYS[at].0)?;
                if end > at {
                    let between = if end == at + 1 { ',' } else { '-' };
                    write!(f, "{between}{}", DAYS[end].0)?;
                }
                separator = ",";
                at = end + 1;
            }
        }
        let to = self.from + self.lasts;
        let to = if to > DAY { to - DAY } else { to };
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, " {}-{}", clock(self.from), clock(to))
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|expected| serde::de::Error::custom(format!("expected {expected}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> Window {
        text.parse().unwrap()
    }

    /// `2026-04-06` is a Monday.
    fn at(time: &str, offset: i32) -> WeekMinute {
        let now: DateTime<Utc> = format!("{time}:00Z").parse().unwrap();
        WeekMinute::at(now, offset)
    }

    #[test]
    fn windows_are_written_as_they_are_read() {
        for (text, shown) in [
            ("mon-fri 22:00-05:00", "Mon-Fri 22:00-05:00"),
            ("Sat,Sun 00:00-24:00", "Sat,Sun 00:00-24:00"),
            ("Fri-Mon 20:30-21:00", "Mon,Fri-Sun 20:30-21:00"),
            ("daily  20:00 - 06:00", "daily 20:00-06:00"),
            (
                "Mon,Tue,Wed,Thu,Fri,Sat,Sun 01:00-02:00",
                "daily 01:00-02:00",
            ),
            ("Wed 23:30-00:00", "Wed 23:30-24:00"),
        ] {
            assert_eq!(window(text).to_string(), shown);
            assert_eq!(window(shown), window(text));
        }
        for text in [
            "",
            "Mon",
            "22:00-05:00",
            "Mon 22-05",
            "Mon 24:00-05:00",
            "Mon 22:00-22:00",
            "Mon 22:00-22:20",
            "Mon 25:00-26:00",
            "Mon 22:60-23:00",
            "Mons 22:00-23:00",
            "Mon- 22:00-23:00",
            "Mon 2:00-3:00",
        ] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let nights = window("Mon-Fri 22:00-05:00");
        for (time, left) in [
            ("2026-04-06T21:59", None),
            ("2026-04-06T22:00", Some(420)),
            ("2026-04-07T04:59", Some(1)),
            ("2026-04-07T05:00", None),
            // Friday night goes on into Saturday, Sunday night is none.
            ("2026-04-11T03:00", Some(120)),
            ("2026-04-11T23:00", None),
            ("2026-04-13T03:00", None),
        ] {
            assert_eq!(nights.left(at(time, 0)), left, "{time}");
        }
        // Sunday's goes on into Monday of the next week.
        let sunday = window("Sun 22:00-05:00");
        assert_eq!(sunday.left(at("2026-04-06T01:00", 0)), Some(240));
    }

    #[test]
    fn it_is_the_devices_own_time() {
        let nights = window("daily 22:00-05:00");
        assert_eq!(nights.left(at("2026-04-06T21:00", 60)), Some(420));
        assert_eq!(nights.left(at("2026-04-06T21:00", 0)), None);
        assert_eq!(nights.left(at("2026-04-06T03:30", -330)), Some(420));
    }

    #[test]
    fn the_restart_lies_in_it_too() {
        let nights = window("daily 22:00-05:00");
        let late = at("2026-04-06T04:40", 0);
        assert!(nights.takes(late, 20 * 60));
        assert!(!nights.takes(late, 20 * 60 + 1));
        assert!(!nights.takes(at("2026-04-06T21:50", 0), 30 * 60));
    }

    #[test]
    fn the_next_one_is_found_across_the_week() {
        let weekend = window("Sat,Sun 08:00-12:00");
        assert_eq!(weekend.opens_in(at("2026-04-11T07:00", 0)), 60);
        assert_eq!(weekend.opens_in(at("2026-04-11T12:00", 0)), 20 * 60);
        assert_eq!(weekend.opens_in(at("2026-04-12T12:00", 0)), 6 * 1440 - 240);
    }
}
