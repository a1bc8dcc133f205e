-- Updates that are removed again from the devices on which they succeeded.
CREATE TABLE rollback (
    rollout_id  uuid PRIMARY KEY REFERENCES rollout (id),
    -- the package to remove
    kb          text NOT NULL,
    reason      text NOT NULL,
    started_by  uuid NOT NULL REFERENCES person (id),
    started_at  timestamptz NOT NULL,
    stopped_at  timestamptz
);
