-- The control of the silence test: who could fall silent, and who did.

-- Counted every five minutes of the service clock while a rollout is under way; a device is known to be lost only a day later.
CREATE TABLE at_risk (
    rollout_id  uuid NOT NULL REFERENCES rollout (id),
    at          timestamptz NOT NULL,
    -- permitted and unresolved
    treated     bigint NOT NULL CHECK (treated >= 0),
    -- not yet updated, and heard of within a day
    control     bigint NOT NULL CHECK (control >= 0),
    PRIMARY KEY (rollout_id, at)
);

-- Those who fell silent, in the order in which it was known, with how many could have just then. Never changed: the halt
-- test multiplies over them.
CREATE TABLE silence (
    n               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rollout_id      uuid NOT NULL REFERENCES rollout (id),
    -- the updated device; null: devices that were not updated
    device_no       integer REFERENCES device (device_no),
    devices         bigint NOT NULL CHECK (devices > 0),
    since           timestamptz NOT NULL,
    at_risk_treated bigint NOT NULL CHECK (at_risk_treated >= 0),
    at_risk_control bigint NOT NULL CHECK (at_risk_control >= 0),
    CHECK (device_no IS NULL OR devices = 1)
);
CREATE INDEX silence_rollout ON silence (rollout_id, since);
CREATE UNIQUE INDEX silence_once ON silence (rollout_id, device_no) WHERE device_no IS NOT NULL;

-- Devices that were lost before there was a control: nothing can be said of them.
INSERT INTO silence (rollout_id, device_no, devices, since, at_risk_treated, at_risk_control)
SELECT rollout_id, device_no, 1, progress_at, 0, 0 FROM assignment WHERE counted & 16 > 0 ORDER BY progress_at, rollout_id, device_no;
