-- What devices said, and what replicas must know of it.

-- Time that passes only while telemetry is taken in. Soak and deadlines run on it.
CREATE TABLE service_clock (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    now         timestamptz NOT NULL,
    -- What the injected source said at the last tick.
    source_at   timestamptz NOT NULL,
    -- After an outage nothing expires before this.
    grace_until timestamptz NOT NULL
);

CREATE TABLE device_cursor (
    device_no   integer PRIMARY KEY REFERENCES device (device_no),
    epoch       integer NOT NULL,
    acked       bigint NOT NULL DEFAULT 0,
    -- Numbers every event of the device in the order in which it was committed, the server's own included.
    event_no    bigint NOT NULL DEFAULT 0,
    -- The last accepted run of events and the hash of its content: a resent batch is compared with it.
    tail_first  bigint NOT NULL DEFAULT 1,
    tail_hash   bigint NOT NULL DEFAULT 0,
    -- Service time of the last report.
    heard_at    timestamptz NOT NULL
) WITH (fillfactor = 80);

-- The log. Partitions by the server's time: device clocks lie. The server's own events (permits, deadlines)
-- have epoch 0 and seq 0. No unique key: the cursors see to it that nothing comes twice.
CREATE TABLE event (
    received_at timestamptz NOT NULL,
    device_no   integer NOT NULL,
    event_no    bigint NOT NULL,
    epoch       integer NOT NULL,
    seq         bigint NOT NULL,
    kind        text NOT NULL,
    hash        bigint NOT NULL,
    body        jsonb NOT NULL
) PARTITION BY RANGE (received_at);
CREATE INDEX event_device ON event (device_no, received_at);
-- Partitions are made ahead; a row in here means that this failed, and raises an alert.
CREATE TABLE event_default PARTITION OF event DEFAULT;

CREATE TABLE assignment (
    rollout_id    uuid NOT NULL REFERENCES rollout (id),
    device_no     integer NOT NULL REFERENCES device (device_no),
    stage_id      uuid NOT NULL REFERENCES stage (id),
    state         text NOT NULL,
    step          smallint NOT NULL DEFAULT 0,
    code          integer,
    steps         smallint NOT NULL DEFAULT 0,
    -- KBs and restarts of each step, frozen at the permit
    plan          jsonb,
    expected_base integer,
    expected_ubr  integer,
    permit_no     integer NOT NULL DEFAULT 0,
    gate_version  bigint,
    permitted_at  timestamptz,
    start_by      timestamptz,
    suspicion     text,
    -- bits: 1 started, 2 resolved, 4 failed, 8 severe, 16 silent, 32 overdue, 64 drift, 128 ok
    counted       smallint NOT NULL DEFAULT 0,
    cohorts       smallint[] NOT NULL DEFAULT '{}',
    not_ready     text,
    progress_at   timestamptz NOT NULL,
    due_at        timestamptz,
    PRIMARY KEY (rollout_id, device_no)
) WITH (fillfactor = 80);
CREATE INDEX assignment_due ON assignment (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX assignment_device ON assignment (device_no);
CREATE INDEX assignment_not_ready ON assignment (stage_id) WHERE not_ready IS NOT NULL;

-- Last contact in blocks of 1,024 devices: u16 minutes since `base`, 0 for none.
CREATE TABLE seen (
    replica     uuid NOT NULL,
    shard       integer NOT NULL,
    base        timestamptz NOT NULL,
    minutes     bytea NOT NULL,
    PRIMARY KEY (replica, shard)
);

-- What replicas read: n of a lane is handed out under the lane's row lock, so it is in commit order.
-- Lane 0: rings and rollouts changed. Lanes 1 and 2: devices changed (device_no modulo 2, plus 1).
CREATE TABLE lane (
    lane        smallint PRIMARY KEY,
    n           bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO lane (lane) VALUES (0), (1), (2);
CREATE TABLE change (
    lane        smallint NOT NULL,
    n           bigint NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    -- The devices' own rows changed, not only their progress.
    registry    boolean NOT NULL,
    device_nos  integer[] NOT NULL,
    PRIMARY KEY (lane, n)
);
CREATE INDEX change_at ON change (at);
