-- When a device was offered a rollout: its first report there, by the service clock. Deadlines of restarts count from it.
ALTER TABLE assignment ADD COLUMN offered_at timestamptz;
