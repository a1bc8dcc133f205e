//! A person at a browser: opens pages, reads, clicks, types, presses keys.
//!
//! ```ignore
//! let browser = Browser::of(&lab).await;
//! lab.sign_in(&browser, lab.people.anna).await;
//! browser.click("Approvals").await;
//! ```
//!
//! Things are named as people see them: a link or a button by its words, a field by its label.

mod driver;
mod keys;
mod look;

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use engine::ids::PersonId;
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::{PASSWORD, PATIENCE};
use driver::Driver;

pub use keys::{ENTER, TAB};
pub use look::{Look, Theme};

/// Between two looks at a page that is to change.
const BREATH: Duration = Duration::from_millis(50);

/// What scripts of ours in a page begin with: how things are called by people.
const WORDS: &str = r"
// Names are isolated by characters that nobody sees.
const tidy = (text) => (text || '').replace(/[\u2066-\u2069]/g, '').replace(/\s+/g, ' ').trim();
const visible = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && e.getClientRects().length > 0 && !e.closest('[aria-hidden=true]');
const label = (e) => tidy([...(e.labels || [])].map((l) => l.innerText).join(' ')) || e.getAttribute('aria-label') || '';
const called = (e) => e.matches('input:not([type=submit]), select, textarea') ? label(e) : tidy(e.innerText || e.value) || e.getAttribute('aria-label') || '';
const pick = (all, words) => all.find((e) => called(e) === words) || all.find((e) => called(e).startsWith(words)) || null;
";

/// A browser at the first server of a lab.
pub struct Browser {
    driver: Driver,
    base: String,
}

impl Browser {
    /// A new one that nobody is signed in at.
    pub async fn of(lab: &Lab) -> Self {
        Self::start(lab, true).await
    }

    /// The same for someone who lets pages run no script.
    pub async fn without_script(lab: &Lab) -> Self {
        Self::start(lab, false).await
    }

    async fn start(lab: &Lab, script: bool) -> Self {
        let browser = Self {
            driver: Driver::start(script).await,
            base: lab.wire().url().to_owned(),
        };
        browser.dress(Look::default()).await;
        browser
    }

    /// Opens a page.
    pub async fn open(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.post("/url", json!({ "url": url })).await;
    }

    /// Path and query of the page that is open.
    pub async fn path(&self) -> String {
        let url = self.driver.get("/url").await.unwrap();
        let url = url.as_str().unwrap();
        url.strip_prefix(&self.base).unwrap_or(url).to_owned()
    }

    /// Everything that can be read on the page.
    pub async fn text(&self) -> String {
        let text = self
            .script("return document.body.innerText", json!([]))
            .await;
        let text = text.as_str().unwrap();
        // What isolates names from the sentence around them is not read.
        text.replace(['\u{2068}', '\u{2069}'], "")
    }

    /// Its heading.
    pub async fn heading(&self) -> String {
        let heading = "return tidy(document.querySelector('h1')?.innerText)";
        let heading = self.script(heading, json!([])).await;
        heading.as_str().unwrap().to_owned()
    }

    /// Waits until these words are on the page.
    pub async fn reads(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE / 4;
        loop {
            let text = self.text().await;
            // Style sheets can turn words into capitals.
            if text.to_lowercase().contains(&words.to_lowercase()) {
                return;
            }
            if Instant::now() > deadline {
                panic!("{words:?} is not on {}:\n{text}", self.path().await);
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Whether there is a link or a button with these words.
    pub async fn offers(&self, words: &str) -> bool {
        !self.press_able(words).await.is_null()
    }

    async fn press_able(&self, words: &str) -> Value {
        let find = "const all = [...document.querySelectorAll('a[href], button, summary, input[type=submit]')].filter(visible);
                    return pick(all.filter((e) => e.closest('main')), arguments[0]) || pick(all, arguments[0])";
        self.script(find, json!([words])).await
    }

    async fn field(&self, label: &str) -> Value {
        let find =
            "const all = [...document.querySelectorAll('input, select, textarea')].filter(visible);
                    return pick(all, arguments[0])";
        self.script(find, json!([label])).await
    }

    /// Clicks the link or button with these words; those of the page itself come before those around it.
    pub async fn click(&self, words: &str) {
        let find = async || self.press_able(words).await;
        let mark = "window.beforeClick = true";
        self.script(mark, json!([])).await;
        let leads_away = "const e = arguments[0];
                          return !!e && e.matches('a[href]:not([href^=\"#\"]), form button:not([type=button])')";
        let thing = find().await;
        let leads_away = self.script(leads_away, json!([thing])).await == true;
        self.touch(words, find, &[("/click", json!({}))]).await;
        if leads_away {
            self.leaves().await;
        }
    }

    /// Waits until the page that was clicked on is gone and the next one is whole: what is done next is done to that.
    /// Files and forms that the browser itself holds back lead nowhere, so this has an end.
    async fn leaves(&self) {
        let deadline = Instant::now() + Duration::from_secs(3);
        let gone = "return window.beforeClick !== true && document.readyState === 'complete'";
        let body = json!({ "script": gone, "args": [] });
        while Instant::now() < deadline {
            // Between two pages there is none that could answer.
            if self.driver.post("/execute/sync", body.clone()).await == Ok(json!(true)) {
                return;
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Types into the field of this label, in place of what is there.
    pub async fn fill(&self, label: &str, text: &str) {
        let typed = [("/clear", json!({})), ("/value", json!({ "text": text }))];
        self.touch(label, async || self.field(label).await, &typed)
            .await;
    }

    /// Chooses from the list of this label.
    pub async fn choose(&self, label: &str, option: &str) {
        let chosen = [("/value", json!({ "text": option }))];
        self.touch(label, async || self.field(label).await, &chosen)
            .await;
    }

    /// Ticks the box or the circle of this label.
    pub async fn tick(&self, label: &str) {
        let find = async || self.field(label).await;
        self.touch(label, find, &[("/click", json!({}))]).await;
    }

    /// Finds a thing and does something with it. A page that is just coming may not have it yet, and one that is just
    /// going may take it away.
    async fn touch(&self, words: &str, find: impl AsyncFn() -> Value, how: &[(&str, Value)]) {
        let deadline = Instant::now() + PATIENCE / 4;
        'again: loop {
            let thing = find().await;
            let id = thing.as_object().and_then(|t| t.values().next());
            if let Some(id) = id {
                for (command, with) in how {
                    let command = format!("/element/{}{command}", id.as_str().unwrap());
                    match self.driver.post(&command, with.clone()).await {
                        Ok(_) => {}
                        Err(error) if Instant::now() < deadline && is_gone(&error) => {
                            continue 'again;
                        }
                        Err(error) => panic!("{words:?} on {}: {error}", self.path().await),
                    }
                }
                return;
            }
            if Instant::now() > deadline {
                let (path, text) = (self.path().await, self.text().await);
                panic!("no {words:?} on {path}:\n{text}");
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Waits until this page is there.
    pub async fn arrives(&self, path: &str) {
        let deadline = Instant::now() + PATIENCE / 4;
        while self.path().await != path {
            if Instant::now() > deadline {
                panic!("{}, not {path}:\n{}", self.path().await, self.text().await);
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// What the browser has complained about since it was asked last: policy, script, resources. That a page is a 404
    /// is no fault of the page.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().unwrap().iter();
        lines
            .filter(|l| l["level"] == "SEVERE" || l["level"] == "WARNING")
            .map(|l| l["message"].as_str().unwrap().to_owned())
            .filter(|m| !m.contains("responded with a status of 4") || m.contains("/static/"))
            .collect()
    }

    /// The text of what has this id.
    pub async fn text_of(&self, id: &str) -> String {
        let text = "return document.getElementById(arguments[0])?.innerText ?? ''";
        let text = self.script(text, json!([id])).await;
        text.as_str().unwrap().trim().to_owned()
    }

    /// A picture of the page down to its end, at most `height` pixels of it, as PNG.
    pub async fn picture(&self, width: u32, height: u32) -> Vec<u8> {
        let whole = "return document.documentElement.scrollHeight";
        let whole = self.script(whole, json!([])).await.as_u64().unwrap();
        let height = whole.clamp(400, u64::from(height));
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.tools("Emulation.setDeviceMetricsOverride", size).await;
        let png = self.driver.get("/screenshot").await.unwrap();
        STANDARD.decode(png.as_str().unwrap()).unwrap()
    }

    /// Whether pages run their scripts here: ours marks the page when it does.
    pub async fn runs_script(&self) -> bool {
        let marked = "return document.documentElement.classList.contains('js')";
        self.script(marked, json!([])).await == true
    }

    /// Runs a script in the page, which may use the words above; its value.
    pub(crate) async fn script(&self, text: &str, arguments: Value) -> Value {
        let script = format!("{WORDS}{text}");
        self.post(
            "/execute/sync",
            json!({ "script": script, "args": arguments }),
        )
        .await
    }

    /// A command of the developer tools.
    async fn tools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", body).await;
    }

    async fn post(&self, command: &str, body: Value) -> Value {
        match self.driver.post(command, body).await {
            Ok(value) => value,
            Err(said) => panic!("{command}: {said}"),
        }
    }
}

/// What a driver says of a thing whose page is gone, in both of its wordings.
fn is_gone(error: &str) -> bool {
    error.contains("stale") || error.contains("does not belong to the document")
}

impl Lab {
    /// Signs someone in at a browser, as they would do it themselves.
    pub async fn sign_in(&self, browser: &Browser, person: PersonId) {
        let name = self.give_password(person).await;
        browser.open("/sign-in?next=/rollouts").await;
        browser.fill("Name", &name).await;
        browser.fill("Password", PASSWORD).await;
        browser.click("Sign in").await;
        browser.arrives("/rollouts").await;
    }
}
