//! How every page looks in a browser: light and dark, on telephones and on wide screens, with ordinary names, with nasty
//! ones, with nothing, and with ten thousand devices. What is wrong anywhere is said at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tests::browser::{Browser, Look, Theme};
use tests::{Lab, OPEN, PAGES, Route, Things, World};

/// Small telephone, telephone, laptop, wide screen.
const WIDTHS: [u32; 4] = [360, 390, 1440, 1920];

const THEMES: [Theme; 2] = [Theme::Light, Theme::Dark];

/// The pages that are opened, of what is there in `things`.
fn pages(things: &Things) -> Vec<String> {
    let shown = |route: &&Route| {
        route.call.starts_with("GET ") && route.path() != "/live" && route.allowed == 200
    };
    let mut paths: Vec<String> = PAGES
        .iter()
        .filter(shown)
        .map(|route| things.fill(route.path()))
        // What there is none of, there is no page of.
        .filter(|path| !path.contains('{'))
        .collect();
    // As a failure looks.
    paths.push("/rollouts?nothing=like-this".to_owned());
    paths.push("/nothing/like/this".to_owned());
    paths
}

/// What is wrong with the page that is open, in every theme at every width. Colours do not change with the width and
/// layout does not with the theme: each is judged where it can differ.
async fn look(browser: &Browser, what: &str, wrong: &mut Vec<String>) {
    for width in WIDTHS {
        for theme in THEMES {
            browser.dress(Look { theme, width }).await;
            let mut found = Vec::new();
            if theme == Theme::Light {
                found.extend(browser.too_wide().await);
            }
            if theme == Theme::Light || width == 390 || width == 1440 {
                found.extend(browser.barriers().await);
            }
            let where_ = format!("{what}, {theme:?}, {width} px");
            wrong.extend(found.into_iter().map(|f| format!("{where_}: {f}")));
        }
    }
    for line in browser.complaints().await {
        // That a page is a 404 is no fault of the page.
        if !line.contains("Failed to load resource: the server responded with a status of 4") {
            wrong.push(format!("{what}: {line}"));
        }
    }
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
    assert!(
        OPEN.iter().filter(|c| c.starts_with("GET ")).count() == 4,
        "a new open page: look at it here"
    );
    look_at_all(&browser, "signed out", &open, &mut wrong).await;
    world.lab.sign_in(&browser, world.lab.people.admin).await;
    look_at_all(&browser, "ordinary", &pages(&world.things[0]), &mut wrong).await;
    assert_fine(&wrong);
}
