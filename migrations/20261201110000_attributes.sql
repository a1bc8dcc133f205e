-- Cohorts that people add: attributes that devices report, such as their EDR or VPN client.

-- Judged by rollouts of the track that start from now on, in this order.
ALTER TABLE track ADD COLUMN cohort_attributes text[] NOT NULL DEFAULT '{}'
    CHECK (cardinality(cohort_attributes) <= 4);

-- The same, fixed when a rollout starts.
ALTER TABLE rollout ADD COLUMN cohort_attributes text[] NOT NULL DEFAULT '{}';

ALTER TABLE cohort DROP CONSTRAINT cohort_kind_check, ADD CONSTRAINT cohort_kind_check
    CHECK (kind IN ('model', 'bios', 'architecture', 'build', 'edition', 'attribute1', 'attribute2', 'attribute3', 'attribute4'));

-- `other` of each of the four kinds. Values get ids from 10 on.
INSERT INTO cohort (id, kind, value) OVERRIDING SYSTEM VALUE VALUES
    (6, 'attribute1', 'other'), (7, 'attribute2', 'other'), (8, 'attribute3', 'other'), (9, 'attribute4', 'other');

-- Attributes that devices of a track report, or once did.
CREATE TABLE track_attribute (
    track_id    uuid NOT NULL,
    name        text NOT NULL,
    value       text NOT NULL,
    PRIMARY KEY (track_id, name, value)
);

-- As for track_cohort: one trigger for all who write devices. Most devices report none, and most changes change none. A track keeps
-- 5,000 values of a name at most: a device that invents values can not fill the disk.
CREATE FUNCTION device_attributes_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO track_attribute (track_id, name, value)
    SELECT k.track_id, k.name, k.value
    FROM (SELECT DISTINCT a.track_id, t.key AS name, t.value FROM after a, jsonb_each_text(a.facts -> 'attributes') AS t) AS k
    WHERE NOT EXISTS (SELECT FROM track_attribute t WHERE (t.track_id, t.name, t.value) = (k.track_id, k.name, k.value))
      AND (SELECT count(*) FROM track_attribute t WHERE (t.track_id, t.name) = (k.track_id, k.name)) < 5000
    ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER device_attributes_added AFTER INSERT ON device
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION device_attributes_changed();
CREATE TRIGGER device_attributes_altered AFTER UPDATE ON device
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION device_attributes_changed();
