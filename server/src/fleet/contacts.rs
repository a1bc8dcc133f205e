//! When each device was heard of for the last time, by whichever replica.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Picture;
use crate::store::seen;

/// Last contacts of all devices that may work, by device number.
pub struct Contacts(Vec<Option<Contact>>);

/// A device's ring and when it was heard of.
#[derive(Debug, Clone, Copy)]
struct Contact {
    ring: Uuid,
    at: DateTime<Utc>,
}

impl Contacts {
    /// What this replica knows, and what the others wrote down.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(conn: &mut PgConnection, picture: &Picture) -> anyhow::Result<Self> {
        let mut here = Vec::new();
        picture.each(|device_no, ring, at| here.push((device_no, ring, at)));
        let last = here.iter().map(|(device_no, ..)| *device_no).max();
        let written = seen::of_range(conn, 0, last.unwrap_or(0)).await?;
        let mut contacts = vec![None; written.len()];
        for (device_no, ring, at) in here {
            let Ok(place) = usize::try_from(device_no) else {
                continue;
            };
            let at = at.max(written.get(place).copied().flatten());
            if let (Some(slot), Some(at)) = (contacts.get_mut(place), at) {
                *slot = Some(Contact { ring, at });
            }
        }
        Ok(Self(contacts))
    }

    /// Devices of these rings that were ever heard of.
    #[must_use]
    pub fn of_rings(&self, rings: &[Uuid]) -> Vec<(i32, DateTime<Utc>)> {
        let rings: HashSet<Uuid> = rings.iter().copied().collect();
        (0..)
            .zip(&self.0)
            .filter_map(|(device_no, contact)| {
                let contact = contact.filter(|c| rings.contains(&c.ring))?;
                Some((device_no, contact.at))
            })
            .collect()
    }

    /// Devices that may work and were last heard of at `until` or before.
    #[must_use]
    pub fn not_since(&self, until: DateTime<Utc>) -> Vec<(i32, DateTime<Utc>)> {
        (0..)
            .zip(&self.0)
            .filter_map(|(device_no, contact)| {
                let contact = contact.filter(|c| c.at <= until)?;
                Some((device_no, contact.at))
            })
            .collect()
    }

    /// Those of these devices that were ever heard of.
    #[must_use]
    pub fn of_devices(&self, device_nos: &[i32]) -> Vec<(i32, DateTime<Utc>)> {
        device_nos
            .iter()
            .filter_map(|device_no| {
                let place = usize::try_from(*device_no).ok()?;
                let contact = self.0.get(place).copied().flatten()?;
                Some((*device_no, contact.at))
            })
            .collect()
    }
}
