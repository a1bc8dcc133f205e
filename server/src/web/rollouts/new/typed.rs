//! What was typed, field by field, kept as it was typed where it is wrong.

use std::collections::BTreeMap;

use engine::policy::Preset;
use uuid::Uuid;

use super::settings::Setting;
use crate::store::from_word;
use crate::web::form::Mistakes;

/// The fields of the form: those of rings have names that only the track knows.
pub type Fields = Vec<(String, String)>;

/// The form.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    pub sequence: Option<Uuid>,
    pub track: Option<Uuid>,
    pub preset: Preset,
    /// Only those that this withdrawn sequence affected; none: every device of the track.
    pub affected_by: Option<Uuid>,
    pub ticket: String,
    /// Settings by ring; blank ones are not there.
    pub settings: BTreeMap<(Uuid, Setting), String>,
    /// What the fields of a ring were prefilled with: only what differs from it was changed by a person.
    pub prefilled: BTreeMap<(Uuid, Setting), String>,
}

impl Typed {
    /// Reads the fields; what can not be read is a mistake and counts as not typed.
    pub fn read(fields: Fields) -> (Self, Mistakes) {
        let mut typed = Self {
            sequence: None,
            track: None,
            preset: Preset::Standard,
            affected_by: None,
            ticket: String::new(),
            settings: BTreeMap::new(),
            prefilled: BTreeMap::new(),
        };
        let mut mistakes = Mistakes::none();
        for (name, value) in fields {
            if let Err((field, expected)) = typed.take(&name, value) {
                mistakes.add(field, expected);
            }
        }
        (typed, mistakes)
    }

    /// Notes what is missing where the rollout is to be saved.
    pub fn missing(&self, mistakes: &mut Mistakes) {
        let chosen = [("sequence", self.sequence), ("track", self.track)];
        for (field, _) in chosen.iter().filter(|(_, chosen)| chosen.is_none()) {
            if mistakes.of(field).is_none() {
                mistakes.add(field, "one of the list");
            }
        }
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), (&'static str, &'static str)> {
        let id = |field, expected| Uuid::parse_str(value.trim()).map_err(|_| (field, expected));
        match name {
            "sequence" => self.sequence = Some(id("sequence", "a sequence of the list")?),
            "track" => self.track = Some(id("track", "a track of the list")?),
            "preset" => {
                let preset = from_word("preset", value);
                self.preset = preset.map_err(|_| ("preset", "a preset of the list"))?;
            }
            "scope" if value == "track" => self.affected_by = None,
            "scope" => self.affected_by = Some(id("scope", "a scope of the list")?),
            "ticket" => self.ticket = value,
            _ => self.take_setting(name, value)?,
        }
        Ok(())
    }

    /// `soak_hours.<ring>`, and `was.soak_hours.<ring>` for what stood there.
    fn take_setting(
        &mut self,
        name: &str,
        value: String,
    ) -> Result<(), (&'static str, &'static str)> {
        const UNKNOWN: (&str, &str) = ("form", "the fields of this page and no others");
        let (fields, name) = match name.strip_prefix("was.") {
            Some(name) => (&mut self.prefilled, name),
            None => (&mut self.settings, name),
        };
        let (setting, ring) = name.rsplit_once('.').ok_or(UNKNOWN)?;
        let setting = Setting::named(setting).ok_or(UNKNOWN)?;
        let ring = Uuid::parse_str(ring).map_err(|_| UNKNOWN)?;
        fields.insert((ring, setting), value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> (Typed, Mistakes) {
        let owned = fields
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Typed::read(owned.collect())
    }

    #[test]
    fn fields_of_rings_are_found_by_setting_and_ring() {
        let ring = Uuid::from_u128(4);
        let (typed, mistakes) = read(&[
            ("preset", "expedited"),
            (&format!("soak_hours.{ring}"), "8"),
            (&format!("was.soak_hours.{ring}"), "4"),
        ]);
        assert!(mistakes.is_empty());
        assert_eq!(typed.preset, Preset::Expedited);
        assert_eq!(typed.settings[&(ring, Setting::Soak)], "8");
        assert_eq!(typed.prefilled[&(ring, Setting::Soak)], "4");
    }

    #[test]
    fn what_can_not_be_read_is_named_and_nothing_else_is_lost() {
        let (typed, mistakes) = read(&[
            ("sequence", "KB1"),
            ("preset", "reckless"),
            ("scope", "everyone"),
            ("coverage", "1"),
            ("ticket", "CHG-7"),
        ]);
        for field in ["sequence", "preset", "scope", "form"] {
            assert!(mistakes.of(field).is_some(), "{field}");
        }
        assert_eq!(typed.ticket, "CHG-7");
    }
}
