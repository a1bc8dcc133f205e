-- What goes where, and why: written only by `control`, in one transaction with its audit row.

CREATE TABLE rollout (
    id          uuid PRIMARY KEY,
    track_id    uuid NOT NULL REFERENCES track (id),
    sequence_id uuid NOT NULL REFERENCES sequence (id),
    digest      bytea NOT NULL CHECK (length(digest) = 32),
    scope       text NOT NULL CHECK (scope IN ('track', 'listed')),
    preset      text NOT NULL,
    author      uuid NOT NULL REFERENCES person (id),
    ticket      text,
    -- phase is the word in state, for indexes and for people who read the table
    phase       text NOT NULL,
    state       jsonb NOT NULL,
    cleared     jsonb NOT NULL DEFAULT '[]',
    reasons     jsonb NOT NULL DEFAULT '[]',
    version     bigint NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL,
    UNIQUE (id, author)
);
CREATE INDEX rollout_live ON rollout (track_id) WHERE phase IN ('scheduled', 'active', 'paused', 'halted', 'completed');
CREATE INDEX rollout_digest ON rollout (digest, track_id);

CREATE TABLE stage (
    id            uuid PRIMARY KEY,
    rollout_id    uuid NOT NULL REFERENCES rollout (id),
    position      smallint NOT NULL,
    ring_id       uuid NOT NULL REFERENCES ring (id),
    policy        jsonb NOT NULL,
    phase         text NOT NULL,
    state         jsonb NOT NULL,
    report        jsonb,
    UNIQUE (rollout_id, position),
    UNIQUE (rollout_id, ring_id)
);

-- The admission lock. `version` grows with every decision that opens or closes the stage; each permit keeps
-- the version under which it was granted.
CREATE TABLE stage_gate (
    stage_id    uuid PRIMARY KEY REFERENCES stage (id),
    rollout_id  uuid NOT NULL REFERENCES rollout (id),
    position    smallint NOT NULL,
    open        boolean NOT NULL,
    version     bigint NOT NULL DEFAULT 0,
    granted     bigint NOT NULL DEFAULT 0,
    day         date,
    day_granted bigint NOT NULL DEFAULT 0
);
CREATE INDEX stage_gate_rollout ON stage_gate (rollout_id, position);

-- Devices of a rollout with scope `listed`.
CREATE TABLE rollout_device (
    rollout_id  uuid NOT NULL REFERENCES rollout (id),
    device_no   integer NOT NULL REFERENCES device (device_no),
    PRIMARY KEY (rollout_id, device_no)
);

-- Cohorts are fixed when a rollout starts.
CREATE TABLE rollout_cohort (
    rollout_id  uuid NOT NULL REFERENCES rollout (id),
    cohort      smallint NOT NULL REFERENCES cohort (id),
    PRIMARY KEY (rollout_id, cohort)
);

-- Generations of admission; cohort 0 is the whole rollout. Under the locks of stage_gate.
CREATE TABLE cap (
    rollout_id  uuid NOT NULL REFERENCES rollout (id),
    cohort      smallint NOT NULL,
    cap         bigint NOT NULL CHECK (cap > 0),
    PRIMARY KEY (rollout_id, cohort)
);

-- Counters of devices. Lane 0 is written by permits, the others by the ingest lane of that number.
CREATE TABLE evidence (
    digest      bytea NOT NULL,
    cohort      smallint NOT NULL,
    stage_id    uuid NOT NULL REFERENCES stage (id),
    lane        smallint NOT NULL,
    started     bigint NOT NULL DEFAULT 0,
    ok          bigint NOT NULL DEFAULT 0,
    failed      bigint NOT NULL DEFAULT 0,
    severe      bigint NOT NULL DEFAULT 0,
    silent      bigint NOT NULL DEFAULT 0,
    overdue     bigint NOT NULL DEFAULT 0,
    resolved    bigint NOT NULL DEFAULT 0,
    drift       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (digest, cohort, stage_id, lane)
) WITH (fillfactor = 50);
CREATE INDEX evidence_stage ON evidence (stage_id);
CREATE INDEX stage_ring ON stage (ring_id);

-- Denominators, kept by deltas: how many devices of a ring are of which class for a rollout.
CREATE TABLE population (
    rollout_id  uuid NOT NULL REFERENCES rollout (id),
    ring_id     uuid NOT NULL REFERENCES ring (id),
    class       text NOT NULL,
    n           bigint NOT NULL,
    PRIMARY KEY (rollout_id, ring_id, class)
);

-- Requests to open a stage or to override a gate. One may be open for a stage at a time.
CREATE TABLE request (
    id           uuid PRIMARY KEY,
    rollout_id   uuid NOT NULL,
    author       uuid NOT NULL,
    stage_id     uuid NOT NULL REFERENCES stage (id),
    ask          jsonb NOT NULL,
    -- null: the engine
    requested_by uuid REFERENCES person (id),
    requested_at timestamptz NOT NULL,
    needed       smallint NOT NULL CHECK (needed >= 1),
    frozen       jsonb NOT NULL,
    hash         bytea NOT NULL CHECK (length(hash) = 32),
    phase        text NOT NULL,
    state        jsonb NOT NULL,
    FOREIGN KEY (rollout_id, author) REFERENCES rollout (id, author),
    UNIQUE (id, author)
);
CREATE UNIQUE INDEX request_one_open ON request (stage_id) WHERE phase = 'open';

-- Four eyes, held here as well as in the engine: an approver is neither author nor requester, and counts once.
-- `alone` marks the only admin there is, whose approval counts four hours later.
CREATE TABLE approval (
    request_id   uuid NOT NULL,
    author       uuid NOT NULL,
    person_id    uuid NOT NULL REFERENCES person (id),
    at           timestamptz NOT NULL,
    alone        boolean NOT NULL,
    PRIMARY KEY (request_id, person_id),
    FOREIGN KEY (request_id, author) REFERENCES request (id, author),
    CHECK (alone OR person_id <> author)
);
CREATE FUNCTION approval_is_by_another() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT NEW.alone AND EXISTS (SELECT FROM request WHERE id = NEW.request_id AND requested_by = NEW.person_id) THEN
        RAISE EXCEPTION 'four eyes: the requester can not approve' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approval_is_by_another BEFORE INSERT OR UPDATE ON approval
    FOR EACH ROW EXECUTE FUNCTION approval_is_by_another();

-- Everything a decision was made from, so that it can be made again.
CREATE TABLE decision (
    rollout_id  uuid NOT NULL REFERENCES rollout (id),
    version     bigint NOT NULL,
    at          timestamptz NOT NULL,
    input       jsonb NOT NULL,
    snapshot    jsonb NOT NULL,
    decision    jsonb NOT NULL,
    PRIMARY KEY (rollout_id, version)
);

-- The audit chain: n and prev_hash come from the head row, never from a sequence, so there are no gaps.
CREATE TABLE audit_head (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    n           bigint NOT NULL,
    hash        bytea NOT NULL CHECK (length(hash) = 32)
);
INSERT INTO audit_head (n, hash) VALUES (0, decode(repeat('00', 32), 'hex'));
CREATE TABLE audit (
    n           bigint PRIMARY KEY,
    at          timestamptz NOT NULL,
    actor       uuid REFERENCES person (id),
    action      text NOT NULL,
    subject     text NOT NULL,
    body        jsonb NOT NULL,
    prev_hash   bytea NOT NULL,
    hash        bytea NOT NULL
);
CREATE INDEX audit_subject ON audit (subject, n);
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit chain is append-only';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
