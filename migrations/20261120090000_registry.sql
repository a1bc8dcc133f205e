-- Who there is: people, tracks, rings, devices.

CREATE TABLE person (
    id          uuid PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    enabled     boolean NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL
);

CREATE TABLE track (
    id          uuid PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    time_zone   text NOT NULL,
    created_at  timestamptz NOT NULL
);

-- A role counts on one track, or everywhere where track_id is null.
CREATE TABLE role_grant (
    person_id   uuid NOT NULL REFERENCES person (id),
    role        text NOT NULL CHECK (role IN ('viewer', 'operator', 'approver', 'admin', 'auditor')),
    track_id    uuid REFERENCES track (id)
);
CREATE UNIQUE INDEX role_grant_once ON role_grant (person_id, role, COALESCE(track_id, '00000000-0000-0000-0000-000000000000'));

-- Only the SHA-256 of a token is kept; the token itself is shown once.
CREATE TABLE api_token (
    id          uuid PRIMARY KEY,
    person_id   uuid NOT NULL REFERENCES person (id),
    name        text NOT NULL,
    hash        bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz
);

-- epoch: part of the ETag of every poll from this ring; grows when what the ring is offered changes.
-- revision: grows when the membership rule changes; approvals are bound to it.
CREATE TABLE ring (
    id          uuid PRIMARY KEY,
    track_id    uuid NOT NULL REFERENCES track (id),
    position    smallint NOT NULL,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    query       text,
    share       double precision CHECK (share > 0 AND share <= 100),
    revision    integer NOT NULL DEFAULT 1,
    epoch       bigint NOT NULL DEFAULT 1,
    UNIQUE (track_id, position) DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (track_id, name) DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE enrolment_token (
    id          uuid PRIMARY KEY,
    track_id    uuid NOT NULL REFERENCES track (id),
    hash        bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    -- let_in: at once; approval: a person admits it; listed: only serials in expected_device.
    admission   text NOT NULL CHECK (admission IN ('let_in', 'approval', 'listed')),
    uses_left   integer NOT NULL CHECK (uses_left >= 0),
    created_by  uuid NOT NULL REFERENCES person (id),
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz
);

CREATE TABLE expected_device (
    track_id    uuid NOT NULL REFERENCES track (id),
    serial      text NOT NULL,
    PRIMARY KEY (track_id, serial)
);

-- Nonces that were spent; kept until they would have expired anyhow.
CREATE TABLE spent_nonce (
    hash        bytea PRIMARY KEY CHECK (length(hash) = 32),
    expires_at  timestamptz NOT NULL
);

-- What devices can be alike in. Ids are small and never reused, so that arrays of them are cheap.
CREATE TABLE cohort (
    id          smallint GENERATED ALWAYS AS IDENTITY (START 10) PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('model', 'bios', 'architecture', 'build', 'edition')),
    value       text NOT NULL,
    UNIQUE (kind, value)
);
-- Values first seen after a rollout started count as `other`.
INSERT INTO cohort (id, kind, value) OVERRIDING SYSTEM VALUE VALUES
    (1, 'model', 'other'), (2, 'bios', 'other'), (3, 'architecture', 'other'), (4, 'build', 'other'), (5, 'edition', 'other');

CREATE TABLE device (
    device_no        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id               uuid NOT NULL UNIQUE,
    track_id         uuid NOT NULL REFERENCES track (id),
    ring_id          uuid NOT NULL REFERENCES ring (id),
    pin              uuid REFERENCES ring (id),
    status           text NOT NULL CHECK (status IN ('admitted', 'awaiting_approval', 'revoked')),
    -- Two machines sent different reports under one number; holds permits back until it enrols again.
    clone_suspected  boolean NOT NULL DEFAULT false,
    incarnation      integer NOT NULL,
    -- Grows at each enrolment and revocation; a token of an older one is worth nothing.
    generation       integer NOT NULL,
    public_key       bytea NOT NULL CHECK (length(public_key) = 32),
    serial           text NOT NULL,
    smbios_uuid      uuid NOT NULL,
    tpm_ek_sha256    bytea,
    host_name        text NOT NULL,
    agent_version    text NOT NULL,
    product          text NOT NULL,
    base             integer NOT NULL,
    ubr              integer NOT NULL,
    series           text NOT NULL,
    edition          text NOT NULL,
    architecture     text NOT NULL,
    -- model, bios, architecture, build, edition: ids of table cohort, in this order
    cohorts          smallint[] NOT NULL CHECK (array_length(cohorts, 1) = 5),
    facts            jsonb NOT NULL,
    ledger           jsonb NOT NULL,
    inventory_digest bytea NOT NULL,
    enrolled_at      timestamptz NOT NULL
);
CREATE INDEX device_serial ON device (serial);
CREATE INDEX device_smbios ON device (smbios_uuid);
CREATE INDEX device_ek ON device (tpm_ek_sha256) WHERE tpm_ek_sha256 IS NOT NULL;
CREATE INDEX device_ring ON device (ring_id, device_no);
