//! A person who uses no mouse.

use std::time::Instant;

use serde_json::{Value, json};

use super::{BREATH, Browser};
use crate::PATIENCE;

/// Keys, as WebDriver writes them.
pub const TAB: &str = "\u{e004}";
/// Enter.
pub const ENTER: &str = "\u{e007}";

/// More stops than any page has.
const STOPS: usize = 120;

impl Browser {
    /// Presses keys one after the other, wherever the focus is.
    pub async fn press(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|t| json!({ "type": t, "value": key })))
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.post("/actions", json!({ "actions": [keyboard] }))
            .await;
    }

    /// What has the focus, as people call it.
    pub async fn focus(&self) -> String {
        let focus = "return called(document.activeElement || document.body)";
        let focus = self.script(focus, json!([])).await;
        focus.as_str().unwrap().to_owned()
    }

    /// Presses Tab until the thing of this name has the focus, and expects that one sees where it is.
    pub async fn tab_to(&self, words: &str) {
        let mut passed = Vec::new();
        for _ in 0..STOPS {
            let focus = self.focus().await;
            if focus.starts_with(words) && !passed.is_empty() || focus == words {
                self.sees_the_focus().await;
                return;
            }
            passed.push(focus);
            self.press(TAB).await;
        }
        panic!(
            "Tab does not lead to {words:?} on {}, but to {passed:?}",
            self.path().await
        );
    }

    async fn sees_the_focus(&self) {
        let seen = "const s = getComputedStyle(document.activeElement);
                    return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== 'none'";
        let seen = self.script(seen, json!([])).await;
        assert_eq!(
            seen,
            true,
            "one does not see that {:?} has the focus",
            self.focus().await
        );
    }

    /// On a page that has just come: the first stop leads past the navigation, and the next one after it is inside the
    /// page. Then on to the thing of this name, and Enter.
    pub async fn enter(&self, words: &str) {
        self.skip().await;
        self.tab_to(words).await;
        self.press(ENTER).await;
    }

    /// Takes the link that leads past the navigation.
    pub async fn skip(&self) {
        self.press(TAB).await;
        assert_eq!(
            self.focus().await,
            "Skip to content",
            "{}",
            self.path().await
        );
        self.sees_the_focus().await;
        self.press(ENTER).await;
        let inside = "return document.activeElement === document.querySelector('main')";
        let inside = self.script(inside, json!([])).await;
        assert_eq!(inside, true, "{:?} has the focus", self.focus().await);
    }

    /// Waits until this page is there as a whole; its address may name a place on it.
    pub async fn comes_to(&self, path: &str) {
        let deadline = Instant::now() + PATIENCE / 4;
        let there =
            "return document.readyState === 'complete' && location.pathname === arguments[0]";
        while self.script(there, json!([path])).await != true {
            if Instant::now() > deadline {
                panic!("{}, not {path}:\n{}", self.path().await, self.text().await);
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Every stop of the page that is open, from where the focus is until it comes round.
    pub async fn stops(&self) -> Vec<String> {
        let mut stops: Vec<String> = Vec::new();
        for _ in 0..STOPS {
            self.press(TAB).await;
            let focus = self.focus().await;
            if stops.first() == Some(&focus) {
                return stops;
            }
            stops.push(focus);
        }
        panic!("the focus does not come round: {stops:?}");
    }
}
