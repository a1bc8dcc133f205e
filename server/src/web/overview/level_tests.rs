use uuid::Uuid;

use super::*;

fn group(product: Product, series: Series, build: &str, n: u64) -> Group {
    Group {
        track: Uuid::nil(),
        ring: Uuid::nil(),
        product,
        series,
        build: build.parse().unwrap(),
        n,
    }
}

fn shown(levels: &[Level]) -> Vec<String> {
    levels
        .iter()
        .map(|l| {
            let lines: Vec<u64> = l.lines.iter().map(|l| l.n.n).collect();
            format!("{}: {:?} {lines:?}", l.name, l.newest)
        })
        .collect()
}

/// Two days after the out-of-band update of March 2026.
fn april() -> DateTime<Utc> {
    DateTime::from_timestamp(1_775_116_800, 0).unwrap()
}

#[test]
fn a_preview_that_was_skipped_puts_nobody_behind() {
    let fleet = [
        group(Product::Client, Series::Standard, "26100.8117", 5),
        group(Product::Client, Series::Standard, "26200.8116", 2),
        group(Product::Client, Series::Standard, "26200.8039", 3),
        group(Product::Client, Series::Standard, "26100.7840", 4),
    ];
    let levels = levels(&fleet, &[], Some("Lab"), april());
    assert_eq!(
        shown(&levels),
        [r#"Windows 11 24H2, 25H2: Some("26100.8117, 2026-03 OOB") [5, 5, 4]"#]
    );
    let link = levels[0].lines[1].n.to_string();
    assert!(
        link.contains("build%3C26100.8117+build%3E%3D26100.8039"),
        "{link}"
    );
}

#[test]
fn server_and_client_and_their_series_are_never_compared_with_each_other() {
    let fleet = [
        group(Product::Client, Series::Standard, "26100.8117", 5),
        group(Product::Client, Series::Hotpatch, "26100.7979", 2),
        group(Product::Server, Series::Standard, "26100.32000", 3),
        group(Product::Client, Series::Standard, "19045.6000", 1),
    ];
    let levels = levels(&fleet, &[], None, april());
    insta::assert_debug_snapshot!(shown(&levels));
}
