-- Hangs and slowness are judged by the time that a device was powered on. It counts that itself and sends it with every event.
ALTER TABLE device_cursor ADD COLUMN powered_s bigint NOT NULL DEFAULT 0;

-- What that count was at the last permit and at the last progress; none in rows that are older than this.
ALTER TABLE assignment ADD COLUMN progress_powered_s bigint, ADD COLUMN permit_powered_s bigint;

-- Powered-on seconds from the permit to the success: from them later updates learn what is slow.
ALTER TABLE assignment ADD COLUMN took_s bigint;

-- What the rollout learned, for whoever judges many devices at once.
ALTER TABLE rollout ADD COLUMN overdue_after_s bigint GENERATED ALWAYS AS ((halt ->> 'overdue_after_s')::bigint) STORED;
