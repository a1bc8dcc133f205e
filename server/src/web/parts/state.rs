//! States as icon and word, never by colour alone. Tinted where someone must look.

use askama::Template;
use askama::filters::HtmlSafe;
use engine::approval::RequestState;
use engine::gate::Verdict;
use engine::rollout::RolloutState;
use engine::stage::StageState;

use crate::store::sequences::SequenceState;

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Fine.
    Ok,
    /// Progresses.
    Run,
    /// Waits for time or data.
    Wait,
    /// A person decides.
    Ask,
    /// Stopped or failed.
    Bad,
    /// Hangs.
    Hung,
    /// Absent or not asked.
    Mute,
}

impl Tone {
    /// End of the classes `c-...`, `f-...`, `k-...`.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Run => "run",
            Self::Wait => "wait",
            Self::Ask => "ask",
            Self::Bad => "bad",
            Self::Hung => "hung",
            Self::Mute => "mute",
        }
    }
}

macro_rules! icons {
    ($($name:ident = $id:literal),+ $(,)?) => {
        /// An icon of `templates/partials/icons.html`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Icon { $($name),+ }

        impl Icon {
            /// Its id.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id),+ }
            }

            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

icons! {
    Ask = "ask", Box = "box", Check = "check", Clock = "clock", Down = "run", Gone = "silent", Home = "home", Hourglass = "hour",
    Key = "key", Log = "log", Menu = "menu", Off = "off", OkRing = "okc", Pause = "pause", Pc = "pc", People = "people",
    Person = "person", Restart = "restart", Rings = "rings", Slash = "slash", Sort = "sort", Stop = "stop", Timer = "soak",
    Triangle = "warn", X = "x",
}

impl std::fmt::Display for Icon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            r##"<svg class="i" aria-hidden="true"><use href="#i-{}"/></svg>"##,
            self.id()
        )
    }
}

impl HtmlSafe for Icon {}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<span class="st{% if tint %} tint{% endif %} c-{{ tone.class() }}">{{ icon }}{{ word }}</span>"#
)]
pub struct State {
    /// Colour.
    pub tone: Tone,
    /// Icon.
    pub icon: Icon,
    /// Word.
    pub word: String,
    /// Someone must look.
    pub tint: bool,
}

impl HtmlSafe for State {}

impl State {
    /// A quiet state.
    pub fn quiet(tone: Tone, icon: Icon, word: impl Into<String>) -> Self {
        Self {
            tone,
            icon,
            word: word.into(),
            tint: false,
        }
    }

    /// A state at which someone must look.
    pub fn loud(tone: Tone, icon: Icon, word: impl Into<String>) -> Self {
        Self {
            tint: true,
            ..Self::quiet(tone, icon, word)
        }
    }

    /// The same without a tint: in a table of many.
    #[must_use]
    pub fn hushed(mut self) -> Self {
        self.tint = false;
        self
    }

    /// Where a rollout is. While it is active, its current stage says more: see [`State::of_stage`].
    pub fn of_rollout(state: &RolloutState) -> Self {
        match state {
            RolloutState::Draft => Self::quiet(Tone::Mute, Icon::Log, "Draft"),
            RolloutState::Scheduled { .. } => Self::quiet(Tone::Mute, Icon::Clock, "Scheduled"),
            RolloutState::Active => Self::quiet(Tone::Run, Icon::Down, "Active"),
            RolloutState::Paused { .. } => Self::loud(Tone::Wait, Icon::Pause, "Paused"),
            RolloutState::Halted { .. } => Self::loud(Tone::Bad, Icon::Stop, "Halted"),
            RolloutState::Completed { .. } => Self::quiet(Tone::Ok, Icon::OkRing, "Completed"),
            RolloutState::Cancelled { .. } => Self::quiet(Tone::Mute, Icon::Slash, "Cancelled"),
            RolloutState::Superseded { .. } => Self::quiet(Tone::Mute, Icon::Slash, "Superseded"),
            RolloutState::Withdrawn { .. } => Self::quiet(Tone::Mute, Icon::Slash, "Withdrawn"),
        }
    }

    /// Where a stage of an active rollout is.
    pub fn of_stage(state: &StageState) -> Self {
        match state {
            StageState::Waiting => Self::quiet(Tone::Mute, Icon::Clock, "Waiting"),
            StageState::AwaitingApproval { .. } => {
                Self::loud(Tone::Ask, Icon::Person, "Awaiting approval")
            }
            StageState::Deploying { .. } => Self::quiet(Tone::Run, Icon::Down, "Deploying"),
            StageState::Soaking { .. } => Self::quiet(Tone::Run, Icon::Timer, "Soaking"),
            StageState::Passed {
                overridden: true, ..
            } => Self::quiet(Tone::Ok, Icon::OkRing, "Passed by override"),
            StageState::Passed { .. } => Self::quiet(Tone::Ok, Icon::OkRing, "Passed"),
        }
    }

    /// What was decided about a criterion.
    pub fn of_verdict(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Off => Self::quiet(Tone::Mute, Icon::Off, "Off"),
            Verdict::Pass => Self::quiet(Tone::Ok, Icon::OkRing, "Pass"),
            Verdict::Wait => Self::loud(Tone::Wait, Icon::Clock, "Wait"),
            Verdict::Inconclusive => Self::loud(Tone::Ask, Icon::Ask, "Inconclusive"),
            Verdict::Halt => Self::loud(Tone::Bad, Icon::Stop, "Halt"),
        }
    }

    /// How a request stands.
    pub fn of_request(state: &RequestState) -> Self {
        match state {
            RequestState::Open => Self::loud(Tone::Ask, Icon::Person, "Awaiting approval"),
            RequestState::Approved => Self::quiet(Tone::Ok, Icon::OkRing, "Approved"),
            RequestState::Rejected { .. } => Self::quiet(Tone::Bad, Icon::X, "Rejected"),
            RequestState::Void { .. } => Self::quiet(Tone::Mute, Icon::Slash, "Void"),
            RequestState::Expired => Self::quiet(Tone::Mute, Icon::Clock, "Expired"),
        }
    }

    /// How a sequence stands.
    pub fn of_sequence(state: SequenceState) -> Self {
        match state {
            SequenceState::Draft => Self::quiet(Tone::Mute, Icon::Log, "Draft"),
            SequenceState::Published => Self::quiet(Tone::Ok, Icon::OkRing, "Published"),
            SequenceState::Withdrawn => Self::quiet(Tone::Mute, Icon::Slash, "Withdrawn"),
        }
    }

    /// Where a device stands in a rollout, by the stored word: an assignment's state, a suspicion, or a class such as
    /// `not_applicable:architecture`.
    pub fn of_device(word: &str) -> Self {
        let class = word.split(':').next().unwrap_or(word);
        match class {
            "targeted" => Self::quiet(Tone::Mute, Icon::Clock, "Targeted"),
            "downloading" => Self::quiet(Tone::Run, Icon::Down, "Downloading"),
            "ready" => Self::quiet(Tone::Run, Icon::Check, "Ready"),
            "restart_agreed" => Self::quiet(Tone::Run, Icon::Restart, "Restart agreed"),
            "permitted" => Self::quiet(Tone::Run, Icon::Check, "Permitted"),
            "installing" => Self::quiet(Tone::Run, Icon::Down, "Installing"),
            "step_done" => Self::quiet(Tone::Run, Icon::Check, "Step done"),
            "restarting" => Self::quiet(Tone::Run, Icon::Restart, "Restarting"),
            "verifying" => Self::quiet(Tone::Run, Icon::Timer, "Verifying"),
            "succeeded" => Self::quiet(Tone::Ok, Icon::OkRing, "Succeeded"),
            "failed" => Self::loud(Tone::Bad, Icon::X, "Failed"),
            "remediating" => Self::loud(Tone::Bad, Icon::Timer, "Being repaired"),
            "rolled_back" => Self::loud(Tone::Bad, Icon::X, "Rolled back"),
            "removed" => Self::quiet(Tone::Mute, Icon::OkRing, "Removed again"),
            "not_removed" => Self::loud(Tone::Bad, Icon::X, "Not removed"),
            "hang_suspected" => Self::loud(Tone::Hung, Icon::Hourglass, "Hang suspected"),
            "lost" => Self::loud(Tone::Mute, Icon::Gone, "Silent"),
            "not_ready" => Self::loud(Tone::Wait, Icon::Triangle, "Not ready"),
            "not_applicable" => Self::quiet(Tone::Mute, Icon::Off, "Not applicable"),
            "installed_elsewhere" => Self::quiet(Tone::Mute, Icon::OkRing, "Installed elsewhere"),
            "complete" => Self::quiet(Tone::Ok, Icon::OkRing, "Complete"),
            "ahead" => Self::quiet(Tone::Ok, Icon::OkRing, "Ahead"),
            "held" => Self::loud(Tone::Wait, Icon::Pause, "Held"),
            "excluded" => Self::quiet(Tone::Mute, Icon::Off, "Left out"),
            "not_listed" => Self::quiet(Tone::Mute, Icon::Off, "Not listed"),
            "admitted" => Self::quiet(Tone::Ok, Icon::OkRing, "Admitted"),
            "awaiting_approval" => Self::loud(Tone::Ask, Icon::Person, "Awaiting approval"),
            "revoked" => Self::quiet(Tone::Bad, Icon::Slash, "Revoked"),
            _ => Self::quiet(Tone::Mute, Icon::Off, class.replace('_', " ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_icon_is_drawn() {
        let drawn = include_str!("../../../../templates/partials/icons.html");
        for icon in Icon::ALL {
            let symbol = format!("id=\"i-{}\"", icon.id());
            assert!(drawn.contains(&symbol), "{symbol}");
        }
    }

    #[test]
    fn a_state_is_icon_and_word() {
        let html = State::of_verdict(Verdict::Wait).to_string();
        assert_eq!(
            html,
            r##"<span class="st tint c-wait"><svg class="i" aria-hidden="true"><use href="#i-clock"/></svg>Wait</span>"##
        );
    }
}
