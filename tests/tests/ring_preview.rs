//! What a new definition of rings would do is what it then does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use server::error::OpError;
use server::registry::{self, NewRings, RingInput};
use server::store::{device_kinds, tracks};
use tests::Lab;
use uuid::Uuid;

async fn now(lab: &Lab) -> BTreeMap<String, u64> {
    let rings = lab.rings().await;
    let mut conn = lab.conn().await;
    let counts = device_kinds::by_status(&mut conn, lab.track).await.unwrap();
    counts
        .into_iter()
        .filter(|(_, status, _)| status != "revoked")
        .map(|(id, _, n)| {
            let ring = rings.iter().find(|r| r.id == id).unwrap();
            (ring.name.clone(), n)
        })
        .collect()
}

#[tokio::test]
async fn a_preview_counts_what_saving_moves_and_saves_nothing() {
    let lab = Lab::start().await;
    lab.ring("pilot", 3).await;
    lab.ring("broad", 9).await;
    let input = |id: Option<Uuid>, name: &str, query: Option<&str>, share| RingInput {
        id,
        name: name.to_owned(),
        query: query.map(str::to_owned),
        share,
    };
    let rings = lab.rings().await;
    let id = |name: &str| rings.iter().find(|r| r.name == name).map(|r| r.id);
    // The first ring moves behind a new one that takes half of everything.
    let inputs = [
        input(None, "early", None, Some(50.0)),
        input(id("pilot"), "pilot", Some("tag:pilot"), None),
        input(id("broad"), "broad", None, None),
    ];
    let before = lab.digests().await;
    let mut conn = lab.conn().await;
    let preview = registry::preview(&mut conn, lab.track, &inputs)
        .await
        .unwrap();
    assert_eq!(lab.digests().await, before);
    let app = &lab.nodes[0].app;
    let (pool, admin) = (&lab.database.pool, lab.people.admin.0);
    registry::define(
        pool,
        &app.catalogue,
        &app.picture,
        lab.track,
        inputs.as_slice(),
        admin,
        lab.clock.now(),
    )
    .await
    .unwrap();
    let promised: BTreeMap<String, u64> = preview
        .rings
        .iter()
        .filter_map(|ring| {
            let n = preview.devices.get(&ring.id)?;
            Some((ring.name.clone(), *n))
        })
        .collect();
    assert_eq!(now(&lab).await, promised);
    assert_eq!(promised.values().sum::<u64>(), 12);
    let moved: u64 = preview.moves.values().sum();
    assert_eq!(moved, *preview.devices.get(&preview.rings[0].id).unwrap());
    let revisions = |rings: &[tracks::Ring]| rings.iter().map(|r| r.revision).collect::<Vec<_>>();
    assert_eq!(revisions(&lab.rings().await), revisions(&preview.rings));
}

#[tokio::test]
async fn a_preview_refuses_what_saving_refuses() {
    let lab = Lab::start().await;
    let mut conn = lab.conn().await;
    let refused = registry::preview(&mut conn, lab.track, &[]).await;
    assert!(matches!(refused, Err(OpError::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn rings_that_somebody_saved_meanwhile_are_not_saved_over() {
    let lab = Lab::start().await;
    lab.ring("broad", 2).await;
    let seen = lab.rings().await;
    let named = |name: &str| {
        [RingInput {
            id: Some(seen[0].id),
            name: name.to_owned(),
            query: None,
            share: None,
        }]
    };
    let app = &lab.nodes[0].app;
    let save = async |name: &str| {
        let rings = named(name);
        let new = NewRings {
            rings: &rings,
            instead_of: Some(&seen),
        };
        let (pool, by, now) = (&lab.database.pool, lab.people.admin.0, lab.clock.now());
        registry::define(pool, &app.catalogue, &app.picture, lab.track, new, by, now).await
    };
    save("everyone").await.unwrap();
    let refused = save("all").await;
    assert!(matches!(refused, Err(OpError::Conflict(_))), "{refused:?}");
    assert_eq!(lab.rings().await[0].name, "everyone");
}
