-- What can be rolled out: KB sequences, and whose signature counts.

CREATE TABLE publisher_key (
    key_id      text PRIMARY KEY CHECK (length(key_id) = 16),
    public_key  bytea NOT NULL UNIQUE CHECK (length(public_key) = 32),
    added_by    uuid NOT NULL REFERENCES person (id),
    added_at    timestamptz NOT NULL,
    revoked_at  timestamptz
);

CREATE TABLE sequence (
    id               uuid PRIMARY KEY,
    kb               integer NOT NULL,
    state            text NOT NULL CHECK (state IN ('draft', 'published', 'withdrawn')),
    body             jsonb NOT NULL,
    digest           bytea NOT NULL CHECK (length(digest) = 32),
    -- The signed manifest as agents get it; its counter never goes back for one KB.
    manifest         jsonb,
    counter          bigint,
    withdrawn_reason text,
    replaced_by      integer,
    created_by       uuid NOT NULL REFERENCES person (id),
    created_at       timestamptz NOT NULL,
    published_at     timestamptz,
    CHECK (state = 'draft' OR manifest IS NOT NULL),
    CHECK (state <> 'withdrawn' OR withdrawn_reason IS NOT NULL)
);
CREATE UNIQUE INDEX sequence_digest ON sequence (digest) WHERE state <> 'draft';
CREATE INDEX sequence_kb ON sequence (kb);
