//! How every page looks in a browser: light and dark, on telephones and on wide screens, with ordinary names, with nasty
//! ones, with nothing, and with ten thousand devices. What is wrong anywhere is said at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tests::browser::{Browser, Look, Theme};
use tests::{Lab, OPEN, PAGES, Route, Things, World};

/// Small telephone, telephone, laptop, wide screen.
const WIDTHS: [u32; 4] = [360, 390, 1440, 1920];

const THEMES: [Theme; 2] = [Theme::Light, Theme::Dark];

/// No page is longer than what a telephone loads in a moment.
const LARGEST: usize = 500_000;

/// The pages that are opened, of what is there in `things`.
fn pages(things: &Things) -> Vec<String> {
    let shown = |route: &&Route| {
        route.call.starts_with("GET ") && route.path() != "/live" && route.allowed == 200
    };
    let mut paths: Vec<String> = PAGES
        .iter()
        .filter(shown)
        .map(|route| things.fill(route.path()))
        // What there is none of, there is no page of; and files are no pages.
        .filter(|path| !path.contains('{') && !path.contains(".json") && !path.contains(".csv"))
        .collect();
    // As a failure looks.
    paths.push("/rollouts?nothing=like-this".to_owned());
    paths.push("/nothing/like/this".to_owned());
    paths
}

/// What is wrong with the page that is open, in every theme at every width.
async fn look(browser: &Browser, what: &str, wrong: &mut Vec<String>) {
    for width in WIDTHS {
        for theme in THEMES {
            browser.dress(Look { theme, width }).await;
            let mut found = Vec::new();
            if theme == Theme::Light {
                found.extend(browser.too_wide().await);
            }
            found.extend(browser.barriers().await);
            let where_ = format!("{what}, {theme:?}, {width} px");
            wrong.extend(found.into_iter().map(|f| format!("{where_}: {f}")));
        }
    }
    complaints(browser, what, wrong).await;
}

/// The same where the ordinary look of a page is judged elsewhere: what the names do to it at its narrowest and wide.
async fn glance(browser: &Browser, what: &str, wrong: &mut Vec<String>) {
    for (theme, width) in [(Theme::Dark, 360), (Theme::Light, 1440)] {
        browser.dress(Look { theme, width }).await;
        let mut found = browser.too_wide().await;
        if width == 360 {
            found.extend(browser.barriers().await);
        }
        wrong.extend(
            found
                .into_iter()
                .map(|f| format!("{what}, {width} px: {f}")),
        );
    }
    complaints(browser, what, wrong).await;
}

async fn complaints(browser: &Browser, what: &str, wrong: &mut Vec<String>) {
    let lines = browser.complaints().await;
    wrong.extend(lines.into_iter().map(|line| format!("{what}: {line}")));
}

async fn look_at_all(browser: &Browser, data: &str, paths: &[String], wrong: &mut Vec<String>) {
    for path in paths {
        browser.open(path).await;
        look(browser, &format!("{data}, {path}"), wrong).await;
    }
}

fn assert_fine(wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{} findings:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_fit_for_everybody() {
    let world = World::build().await;
    let browser = Browser::of(&world.lab).await;
    let mut wrong = Vec::new();
    let link = world.lab.link(world.lab.people.mary).await;
    let open = [
        "/sign-in".to_owned(),
        format!("/welcome/{link}"),
        "/welcome/x".to_owned(),
    ];
    let pages_for_all = OPEN.iter().filter(|call| call.starts_with("GET "));
    assert_eq!(
        pages_for_all.count(),
        4,
        "a new open page is to be looked at here"
    );
    look_at_all(&browser, "signed out", &open, &mut wrong).await;
    world.lab.sign_in(&browser, world.lab.people.admin).await;
    let pages = pages(&world.things[0]);
    look_at_all(&browser, "ordinary", &pages, &mut wrong).await;
    assert_fine(&wrong);
}

/// Names as long as they may be without a place to break, and names that are written from right to left.
const NASTY: &str = "
    UPDATE track SET name = repeat('W', 99) || position::text
        FROM (SELECT id AS i, row_number() OVER () AS position FROM track) t WHERE i = id;
    UPDATE ring SET name = left('\u{5d8}\u{5d1}\u{5e2}\u{5ea}(' || repeat('\u{5d0}', 90), 95) || position;
    UPDATE person SET name = repeat('M', 60) || left(id::text, 36) WHERE name <> 'Ada Admin';
    UPDATE device SET host_name = repeat('H', 200) || device_no, serial = repeat('S', 190) || device_no;
    UPDATE cohort SET value = left(repeat('L', 200), 190) || id WHERE id >= 10;
    UPDATE sequence SET body = jsonb_set(body, '{title}', to_jsonb(repeat('T', 200)));
    UPDATE api_token SET name = repeat('N', 100);
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nasty_names_break_no_page() {
    let world = World::build().await;
    let pool = &world.lab.database.pool;
    sqlx::raw_sql(NASTY).execute(pool).await.unwrap();
    world.lab.settle().await;
    let browser = Browser::of(&world.lab).await;
    world.lab.sign_in(&browser, world.lab.people.admin).await;
    let mut wrong = Vec::new();
    for path in pages(&world.things[0]) {
        browser.open(&path).await;
        glance(&browser, &format!("nasty, {path}"), &mut wrong).await;
    }
    assert_fine(&wrong);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_installation_has_pages_as_well() {
    let lab = Lab::start().await;
    let empty = "DELETE FROM enrolment_token; DELETE FROM ring; DELETE FROM track";
    sqlx::raw_sql(empty)
        .execute(&lab.database.pool)
        .await
        .unwrap();
    lab.settle().await;
    let browser = Browser::of(&lab).await;
    lab.sign_in(&browser, lab.people.admin).await;
    let mut wrong = Vec::new();
    for path in pages(&Things::none()) {
        browser.open(&path).await;
        glance(&browser, &format!("empty, {path}"), &mut wrong).await;
    }
    assert_fine(&wrong);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_devices_are_shown_page_by_page() {
    let lab = Lab::start().await;
    let ring = lab.ring("broad", 1).await;
    lab.crowd(&ring, 10_000).await;
    let visitor = lab.visitor(lab.people.admin).await;
    let mut wrong = Vec::new();
    for path in pages(&Things::none()) {
        let page = visitor.get(&path).await;
        if page.body.len() > LARGEST {
            wrong.push(format!("{path} has {} bytes", page.body.len()));
        }
    }
    assert_fine(&wrong);
}
