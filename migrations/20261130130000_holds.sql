-- Known issues that hold devices of a track, and devices that a rollout goes on without. Ended ones stay, with when.
CREATE TABLE device_hold (
    id          uuid PRIMARY KEY,
    track_id    uuid NOT NULL REFERENCES track (id),
    -- the content that it is about; null: every update of the track
    digest      bytea CHECK (length(digest) = 32),
    -- the rollout that goes on without the devices; null: they wait
    rollout_id  uuid REFERENCES rollout (id),
    query       text NOT NULL,
    issue       text NOT NULL,
    owner       uuid NOT NULL REFERENCES person (id),
    added_by    uuid NOT NULL REFERENCES person (id),
    added_at    timestamptz NOT NULL,
    -- by the service clock; an exclusion has no end of its own
    expires_at  timestamptz,
    ended_at    timestamptz,
    CHECK ((rollout_id IS NULL) = (expires_at IS NOT NULL)),
    CHECK (rollout_id IS NULL OR digest IS NULL)
);
CREATE INDEX device_hold_on ON device_hold (track_id) WHERE ended_at IS NULL;
