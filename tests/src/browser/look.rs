//! How a page looks at some width, light or dark; and what is wrong with that.

use serde_json::{Value, json};

use super::Browser;

/// Light or dark, as the system asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// What a page is looked at with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Colours.
    pub theme: Theme,
    /// Width in pixels.
    pub width: u32,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            theme: Theme::Light,
            width: 1440,
        }
    }
}

/// <https://github.com/dequelabs/axe-core>, as published on npm; version and hash are in `vendor.toml` beside it.
const AXE: &str = include_str!("../../assets/axe-4.14.1.min.js");

/// What WCAG 2.2 AA asks for, and what is good practice besides.
const RUN: &str = r"
const done = arguments[arguments.length - 1];
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
axe.run(document, { runOnly: tags, resultTypes: ['violations'] }).then(
  (r) => done(r.violations.map((v) => v.id + ': ' + v.help + ': '
    + v.nodes.slice(0, 3).map((n) => n.target.join(' ') + ' (' + (n.any[0] || n.all[0] || n.none[0] || {}).message + ')').join('; '))),
  (e) => done(['axe failed: ' + e]));
";

/// Wider than the window: the page as a whole, or something on it that is not inside a part that scrolls.
const TOO_WIDE: &str = r"
const width = document.documentElement.clientWidth;
const wrong = [];
const page = document.scrollingElement.scrollWidth;
if (page > width) wrong.push('the page is ' + page + ' px wide');
for (const e of document.body.querySelectorAll('*')) {
  if (e.parentElement.closest('.scroll, svg, .vh, .skip') || e.matches('.vh, .skip, .sprite')) continue;
  // Heads of tables that are cards on telephones are there for those who hear the page alone.
  const heads = e.closest('.cards thead');
  if (heads && getComputedStyle(heads).position === 'absolute') continue;
  const box = e.getBoundingClientRect();
  if (box.width === 0 || box.height === 0 || !visible(e)) continue;
  const text = page > width && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && e.children.length === 0;
  if (text || box.right > width + 1 || box.left < -1) {
    wrong.push(e.tagName.toLowerCase() + '.' + e.className + (text ? ' has longer text, and' : '') + ' reaches from ' + Math.round(box.left) + ' to ' + Math.round(box.right)
      + ': ' + tidy(e.innerText).slice(0, 40));
    if (wrong.length > 5) break;
  }
}
return wrong;
";

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.map(|v| v.as_str().unwrap_or_default().to_owned())
        .collect()
}

impl Browser {
    /// Looks at pages so from now on. Nothing moves, so that colours are those that stay.
    pub async fn dress(&self, look: Look) {
        let scheme = match look.theme {
            Theme::Light => "light",
            Theme::Dark => "dark",
        };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.tools(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .await;
        let size =
            json!({ "width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.tools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// What sticks out of the window.
    pub async fn too_wide(&self) -> Vec<String> {
        strings(&self.script(TOO_WIDE, json!([])).await)
    }

    /// What keeps people from using the page, as far as a program can tell.
    pub async fn barriers(&self) -> Vec<String> {
        let there = self.script("return 'axe' in window", json!([])).await;
        if there != true {
            self.script(AXE, json!([])).await;
        }
        let body = json!({ "script": RUN, "args": [] });
        strings(&self.post("/execute/async", body).await)
    }
}
