//! Reads back what [`engine::words`] wrote: a gate report is display-ready, also one that was frozen long ago, and its
//! pictures need the numbers.

use super::Limit;

/// Reads back what [`engine::words::part`] wrote: a report is display-ready, also one that was frozen long ago.
pub fn part_of(text: &str) -> Option<(u64, u64)> {
    let (part, rest) = text.split_once(" of ")?;
    let whole = rest.split_once(" (").map_or(rest, |(whole, _)| whole);
    Some((digits(part)?, digits(whole)?))
}

/// Reads back a limit such as `at most 2.5 %`.
pub fn rate(limit: &str) -> Option<Limit> {
    let percent = |text: &str| text.strip_suffix(" %")?.parse::<f64>().ok();
    if let Some(most) = limit.strip_prefix("at most ") {
        Some(Limit::AtMost(percent(most)? / 100.0))
    } else {
        let least = limit.strip_prefix("at least ")?;
        Some(Limit::AtLeast(percent(least)? / 100.0))
    }
}

fn digits(text: &str) -> Option<u64> {
    text.replace(',', "").parse().ok()
}

#[allow(clippy::cast_precision_loss)] // Devices are far below 2^53.
pub fn plain(text: &str) -> Option<f64> {
    digits(text).map(|n| n as f64)
}

/// Reads back what [`engine::words::duration`] wrote.
pub fn seconds(text: &str) -> Option<f64> {
    let words: Vec<&str> = text.split(' ').collect();
    let mut total = 0.0;
    for pair in words.chunks(2) {
        let [n, unit] = pair else { return None };
        let unit = match *unit {
            "d" => 86_400.0,
            "h" => 3600.0,
            "min" => 60.0,
            "s" => 1.0,
            _ => return None,
        };
        total += n.parse::<f64>().ok()? * unit;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use chrono::Duration;
    use engine::words;

    use super::*;

    #[test]
    fn words_are_read_back_as_they_were_written() {
        for (part, whole) in [(0, 0), (3, 7), (1_234, 1_234_567)] {
            assert_eq!(part_of(&words::part(part, whole)), Some((part, whole)));
        }
        for s in [0, 50, 3_600, 93_600, 450_000] {
            let text = words::duration(Duration::seconds(s));
            assert_eq!(
                seconds(&text),
                f64::from(i32::try_from(s).unwrap()).into(),
                "{text}"
            );
        }
        assert_eq!(part_of("over"), None);
        assert_eq!(seconds("–"), None);
        let limit = format!("at most {}", words::limit(2.5));
        assert_eq!(rate(&limit), Some(Limit::AtMost(0.025)));
        assert_eq!(rate("none"), None);
    }
}
