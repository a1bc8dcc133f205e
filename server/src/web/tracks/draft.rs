//! Rings as they stand in the form: kept in its fields, so that rows move, come and go without script.

use servicing::Sha256;
use uuid::Uuid;

use crate::error::OpError;
use crate::registry::RingInput;
use crate::store::tracks::Ring;
use crate::web::form::Mistakes;

/// More than can be saved, so that the rules say how many may.
const MOST_ROWS: usize = 20;

/// One ring as it is typed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// The ring, if it is there already.
    pub id: Option<Uuid>,
    /// Name.
    pub name: String,
    /// Query.
    pub query: String,
    /// Share, percent.
    pub share: String,
}

/// What a button of the form asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// This row before the one above.
    Up(usize),
    /// This row behind the one below.
    Down(usize),
    /// Take a row away that is not saved yet.
    Remove(usize),
    /// A further row.
    Add,
    /// Show what it would do.
    Preview,
    /// Save it.
    Save,
}

impl Action {
    fn parse(text: &str) -> Option<Self> {
        Some(match text.split_once(':') {
            None => match text {
                "add" => Self::Add,
                "preview" => Self::Preview,
                "save" => Self::Save,
                _ => return None,
            },
            Some((word, row)) => {
                let row = row.parse().ok()?;
                match word {
                    "up" => Self::Up(row),
                    "down" => Self::Down(row),
                    "remove" => Self::Remove(row),
                    _ => return None,
                }
            }
        })
    }
}

/// The form.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Rings, first ring first.
    pub rows: Vec<Row>,
    /// [`sum_of`] the rings that were there when the form was opened.
    pub seen: String,
}

/// A form as it was sent.
pub struct Sent {
    /// Its rows.
    pub draft: Draft,
    /// The button.
    pub action: Action,
    /// [`Draft::sum`] of what a preview was shown of.
    pub previewed: String,
}

/// Tells definitions apart.
pub fn sum_of(rings: &[Ring]) -> String {
    Sha256::of(format!("{rings:?}").as_bytes()).to_string()
}

impl Draft {
    /// The rings there are; an example where there are none.
    pub fn of(rings: &[Ring]) -> Self {
        let row = |ring: &Ring| Row {
            id: Some(ring.id),
            name: ring.name.clone(),
            query: ring.query.clone().unwrap_or_default(),
            share: ring.share.map(|s| s.to_string()).unwrap_or_default(),
        };
        let mut rows: Vec<Row> = rings.iter().map(row).collect();
        if rows.is_empty() {
            let example = |name: &str, share: &str| Row {
                name: name.to_owned(),
                share: share.to_owned(),
                ..Row::default()
            };
            rows = vec![example("Pilot", "5"), example("Broad", "")];
        }
        Self {
            rows,
            seen: sum_of(rings),
        }
    }

    /// Tells drafts apart.
    pub fn sum(&self) -> String {
        Sha256::of(format!("{:?}", self.rows).as_bytes()).to_string()
    }

    /// After a button that only changes rows. A ring that is saved stays: rollouts refer to it.
    pub fn changed(mut self, action: Action) -> Self {
        let n = self.rows.len();
        match action {
            Action::Up(row) if row > 0 && row < n => self.rows.swap(row - 1, row),
            Action::Down(row) if row + 1 < n => self.rows.swap(row, row + 1),
            Action::Remove(row) if self.rows.get(row).is_some_and(|r| r.id.is_none()) => {
                self.rows.remove(row);
            }
            // Before the last one, which takes the rest.
            Action::Add if n < MOST_ROWS => self.rows.insert(n.saturating_sub(1), Row::default()),
            _ => {}
        }
        self
    }

    /// What is to be defined.
    ///
    /// # Errors
    /// A share that is no number.
    pub fn inputs(&self) -> Result<Vec<RingInput>, Mistakes> {
        let mut mistakes = Mistakes::none();
        let mut inputs = Vec::with_capacity(self.rows.len());
        for (i, row) in self.rows.iter().enumerate() {
            let text = row.share.trim().trim_end_matches('%').trim_end();
            let share = (!text.is_empty()).then(|| text.parse::<f64>()).transpose();
            if share.is_err() {
                mistakes.add(&format!("rings[{i}].share"), "a number, such as 5 or 2.5");
            }
            let query = row.query.trim();
            inputs.push(RingInput {
                id: row.id,
                name: row.name.trim().to_owned(),
                query: (!query.is_empty()).then(|| query.to_owned()),
                share: share.unwrap_or_default(),
            });
        }
        if mistakes.is_empty() {
            Ok(inputs)
        } else {
            Err(mistakes)
        }
    }
}

impl Sent {
    /// Reads the fields. Those left blank are not there.
    ///
    /// # Errors
    /// [`OpError::Invalid`] for a field that the form does not have.
    pub fn read(fields: &[(String, String)]) -> Result<Self, OpError> {
        let mut sent = Self {
            draft: Draft {
                rows: Vec::new(),
                seen: String::new(),
            },
            action: Action::Preview,
            previewed: String::new(),
        };
        let wrong = |name: &str, expected: &str| Err(OpError::field(name, expected));
        let count = fields.iter().find(|(name, _)| name == "rows");
        let count = count.and_then(|(_, n)| n.parse::<usize>().ok());
        let Some(count) = count.filter(|n| *n <= MOST_ROWS) else {
            return wrong("rows", "the number of rings in the form");
        };
        sent.draft.rows.resize_with(count, Row::default);
        for (name, value) in fields {
            match name.as_str() {
                "rows" => {}
                "seen" => sent.draft.seen.clone_from(value),
                "previewed" => sent.previewed.clone_from(value),
                "action" => match Action::parse(value) {
                    Some(action) => sent.action = action,
                    None => return wrong("action", "a button of the form"),
                },
                _ => match part(name) {
                    Some((row, field)) if row < count => {
                        sent.draft.rows[row].put(field, value)?;
                    }
                    _ => return wrong(name, "a field of the form"),
                },
            }
        }
        Ok(sent)
    }
}

impl Row {
    fn put(&mut self, field: &str, value: &str) -> Result<(), OpError> {
        let value = value.to_owned();
        match field {
            "id" => {
                let id = value.parse();
                self.id = Some(id.map_err(|_| OpError::field("id", "the id of a ring"))?);
            }
            "name" => self.name = value,
            "query" => self.query = value,
            "share" => self.share = value,
            _ => return Err(OpError::field(field, "a field of the form")),
        }
        Ok(())
    }
}

/// `rings[2].query`: the row and its field.
fn part(name: &str) -> Option<(usize, &str)> {
    let (row, field) = name.strip_prefix("rings[")?.split_once("].")?;
    Some((row.parse().ok()?, field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(fields: &[(&str, &str)]) -> Result<Sent, OpError> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        Sent::read(&fields)
    }

    fn names(draft: &Draft) -> Vec<&str> {
        draft.rows.iter().map(|r| r.name.as_str()).collect()
    }

    #[test]
    fn a_row_that_is_blank_is_still_a_row() {
        let sent = sent(&[
            ("rows", "3"),
            ("rings[0].name", "Pilot"),
            ("rings[2].name", "Broad"),
            ("rings[2].id", "00000000-0000-0000-0000-000000000000"),
            ("action", "up:2"),
        ])
        .unwrap();
        assert_eq!(names(&sent.draft), ["Pilot", "", "Broad"]);
        assert_eq!(sent.draft.rows[2].id, Some(Uuid::nil()));
        let moved = sent.draft.changed(sent.action);
        assert_eq!(names(&moved), ["Pilot", "Broad", ""]);
    }

    #[test]
    fn what_the_form_does_not_have_is_refused() {
        for fields in [
            &[("rows", "x")][..],
            &[("rows", "21")],
            &[("rings[0].name", "Pilot")],
            &[("rows", "1"), ("rings[1].name", "Pilot")],
            &[("rows", "1"), ("rings[0].nmae", "Pilot")],
            &[("rows", "1"), ("rings[0].id", "x")],
            &[("rows", "1"), ("action", "up")],
            &[("rows", "1"), ("action", "up:-1")],
            &[("rows", "1"), ("other", "x")],
        ] {
            assert!(sent(fields).is_err(), "{fields:?}");
        }
    }

    #[test]
    fn rows_move_come_and_go_but_saved_ones_stay() {
        let ring = |n: u128, name: &str| Ring {
            id: Uuid::from_u128(n),
            track_id: Uuid::nil(),
            position: 0,
            name: name.to_owned(),
            query: None,
            share: None,
            revision: 1,
        };
        let draft = Draft::of(&[ring(1, "Pilot"), ring(2, "Broad")]);
        let added = draft.clone().changed(Action::Add);
        assert_eq!(names(&added), ["Pilot", "", "Broad"]);
        assert_eq!(added.clone().changed(Action::Remove(1)), draft);
        assert_eq!(draft.clone().changed(Action::Remove(0)), draft);
        assert_eq!(draft.clone().changed(Action::Up(0)), draft);
        assert_eq!(draft.clone().changed(Action::Down(1)), draft);
        assert_eq!(draft.clone().changed(Action::Up(usize::MAX)), draft);
        assert_eq!(names(&draft.changed(Action::Down(0))), ["Broad", "Pilot"]);
    }

    #[test]
    fn a_share_is_a_number_with_or_without_its_sign() {
        let mut draft = Draft::of(&[]);
        "2.5 %".clone_into(&mut draft.rows[0].share);
        assert_eq!(draft.inputs().unwrap()[0].share, Some(2.5));
        "few".clone_into(&mut draft.rows[0].share);
        let mistakes = draft.inputs().unwrap_err();
        assert!(mistakes.of("rings[0].share").is_some());
    }
}
