-- How people come in with a browser.

-- Argon2id as a PHC string. People without one can not sign in; their API tokens work all the same.
CREATE TABLE credential (
    person_id     uuid PRIMARY KEY REFERENCES person (id),
    password_hash text NOT NULL,
    changed_at    timestamptz NOT NULL
);

-- Links with which someone chooses a password: shown once, good once. created_by is null for the first admin's.
CREATE TABLE sign_in_link (
    id          uuid PRIMARY KEY,
    person_id   uuid NOT NULL REFERENCES person (id),
    hash        bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_by  uuid REFERENCES person (id),
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz
);
CREATE INDEX sign_in_link_person ON sign_in_link (person_id);

-- Only the SHA-256 of a session's id is kept. person_id repeats what data says, so that all sessions of a person can
-- be ended.
CREATE TABLE session (
    hash        bytea PRIMARY KEY CHECK (length(hash) = 32),
    person_id   uuid REFERENCES person (id),
    data        jsonb NOT NULL,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX session_person ON session (person_id);
CREATE INDEX session_expires ON session (expires_at);

-- Sign-ins that failed, by the hash of a name or of an address, for all replicas.
CREATE TABLE sign_in_failure (
    key         bytea PRIMARY KEY CHECK (length(key) = 32),
    failures    integer NOT NULL,
    last_at     timestamptz NOT NULL
);
CREATE INDEX sign_in_failure_last ON sign_in_failure (last_at);
