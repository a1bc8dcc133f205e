-- Devices with a permit that were not heard of since their outcome, nor within a working day: counted every five minutes of
-- the service clock for stages that are open and have not passed. No row: not counted yet.
CREATE TABLE unheard (
    stage_id    uuid PRIMARY KEY REFERENCES stage (id),
    -- by the service clock
    at          timestamptz NOT NULL,
    devices     bigint NOT NULL CHECK (devices >= 0)
);
