-- Repairs and further tries of devices that failed.
ALTER TABLE assignment
    ADD COLUMN tries smallint NOT NULL DEFAULT 0,
    -- code for which the last try follows a repair that worked
    ADD COLUMN mended int;
COMMENT ON COLUMN assignment.counted IS
    'bits: 1 started, 2 resolved, 4 failed, 8 severe, 16 silent, 32 overdue, 64 drift, 128 ok, 256 recovered, 512 relapsed';
ALTER TABLE evidence
    ADD COLUMN recovered bigint NOT NULL DEFAULT 0,
    ADD COLUMN relapsed bigint NOT NULL DEFAULT 0;
