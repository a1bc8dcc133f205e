-- Every change of a rollout's phase wrote all indexes of its row anew, for an index that held the phase. A track has some
-- hundreds of rollouts in its life: those that live are found among them.
DROP INDEX rollout_live;
CREATE INDEX rollout_track ON rollout (track_id, created_at);
ALTER TABLE rollout SET (fillfactor = 70);
