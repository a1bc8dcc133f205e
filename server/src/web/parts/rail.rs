//! The order of rings, with the gate as a knot between two.

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Icon, State, Tone};

/// One ring on the rail.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub state: State,
    /// Reached: the line to it is drawn through.
    pub reached: bool,
    /// The gate behind it; none behind the last ring.
    pub gate: Option<(Tone, Icon, &'static str)>,
    /// Short lines below: since when, what is needed.
    pub lines: Vec<String>,
}

/// The rail.
#[derive(Debug, Clone, Template)]
#[template(
    ext = "html",
    source = r#"<ol class="rail">{% for stop in stops %}
<li{% if !stop.reached %} class="todo"{% endif %}><div class="knot"><b><bdi>{{ stop.name }}</bdi></b>{{ stop.state }}</div>{% if let Some((tone, icon, word)) = stop.gate %}<span class="gate c-{{ tone.class() }}">{{ icon }}<span class="vh">{{ word }}</span></span>{% endif %}<p>{% for line in stop.lines %}{% if !loop.first %}<br>{% endif %}{{ line }}{% endfor %}</p></li>{% endfor %}
</ol>"#
)]
pub struct StageRail {
    /// Rings, first ring first.
    pub stops: Vec<Stop>,
}

impl HtmlSafe for StageRail {}
