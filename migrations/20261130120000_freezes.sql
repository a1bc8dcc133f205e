-- Change freezes of a track: no device starts between the two times. One that was lifted stays, with when.
CREATE TABLE change_freeze (
    id          uuid PRIMARY KEY,
    track_id    uuid NOT NULL REFERENCES track (id),
    starts      timestamptz NOT NULL,
    ends        timestamptz NOT NULL CHECK (ends > starts),
    reason      text NOT NULL,
    added_by    uuid NOT NULL REFERENCES person (id),
    lifted_at   timestamptz
);
CREATE INDEX change_freeze_track ON change_freeze (track_id, ends) WHERE lifted_at IS NULL;
