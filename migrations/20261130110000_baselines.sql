-- Baselines of a rollout's halt test, learned when it starts and fixed then; null: the fixed ones.
ALTER TABLE rollout ADD COLUMN halt jsonb;
