-- What pages and gates count, so that nobody reads a million rows to show one number. docs/adr/0016-counters.md.

-- Devices alike in all that pages and populations count them by. A change of devices appends what it adds and takes away,
-- so that no enrolment waits for another; readers sum. Rows are folded into one of each kind now and then (`folded`).
CREATE TABLE device_kind (
    track_id        uuid NOT NULL,
    ring_id         uuid NOT NULL,
    status          text NOT NULL,
    product         text NOT NULL,
    base            integer NOT NULL,
    ubr             integer NOT NULL,
    series          text NOT NULL,
    edition         text NOT NULL,
    architecture    text NOT NULL,
    folded          boolean NOT NULL DEFAULT false,
    n               bigint NOT NULL
);
CREATE UNIQUE INDEX device_kind_folded ON device_kind
    (track_id, ring_id, status, product, base, ubr, series, edition, architecture) WHERE folded;
CREATE INDEX device_kind_track ON device_kind (track_id);
CREATE INDEX device_kind_new ON device_kind (folded) WHERE NOT folded;

-- What devices of a track are, or once were, alike in: a rollout that starts fixes these.
CREATE TABLE track_cohort (
    track_id    uuid NOT NULL,
    cohort      smallint NOT NULL,
    PRIMARY KEY (track_id, cohort)
);

-- One trigger for all who write devices, loads by COPY included: none of them can forget it.
CREATE FUNCTION device_kind_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO device_kind (track_id, ring_id, status, product, base, ubr, series, edition, architecture, n)
        SELECT track_id, ring_id, status, product, base, ubr, series, edition, architecture, count(*)
        FROM after GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO device_kind (track_id, ring_id, status, product, base, ubr, series, edition, architecture, n)
        SELECT track_id, ring_id, status, product, base, ubr, series, edition, architecture, -count(*)
        FROM before GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
        RETURN NULL;
    ELSE
        INSERT INTO device_kind (track_id, ring_id, status, product, base, ubr, series, edition, architecture, n)
        SELECT track_id, ring_id, status, product, base, ubr, series, edition, architecture, sum(n) FROM (
            SELECT track_id, ring_id, status, product, base, ubr, series, edition, architecture, -1 AS n FROM before
            UNION ALL
            SELECT track_id, ring_id, status, product, base, ubr, series, edition, architecture, 1 FROM after) AS c
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 HAVING sum(n) <> 0;
    END IF;
    -- In one order, and only what is missing: two enrolments that bring the same new model wait for each other at most once.
    INSERT INTO track_cohort (track_id, cohort)
    SELECT k.track_id, k.cohort FROM (SELECT DISTINCT track_id, UNNEST(cohorts) AS cohort FROM after) AS k
    WHERE NOT EXISTS (SELECT FROM track_cohort t WHERE t.track_id = k.track_id AND t.cohort = k.cohort)
    ORDER BY 1, 2 ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER device_kind_added AFTER INSERT ON device
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION device_kind_changed();
CREATE TRIGGER device_kind_altered AFTER UPDATE ON device
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION device_kind_changed();
CREATE TRIGGER device_kind_removed AFTER DELETE ON device
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION device_kind_changed();

-- Assignments by all that pages say of them. Lane 0 is written by permits, the others by the ingest lane of that number;
-- the counts of one lane may be below zero, their sum is not.
CREATE TABLE standing (
    rollout_id  uuid NOT NULL,
    stage_id    uuid NOT NULL,
    -- a suspicion while it stands, else the state
    word        text NOT NULL,
    -- says why it can not go on, and is not resolved
    waits       boolean NOT NULL,
    -- cohort of the model, where a started device failed or is suspected of something; else 0
    model       smallint NOT NULL,
    -- code of its failure as an unsigned number; -1 where there is none
    code        bigint NOT NULL,
    lane        smallint NOT NULL,
    n           bigint NOT NULL,
    PRIMARY KEY (rollout_id, stage_id, word, waits, model, code, lane)
) WITH (fillfactor = 50);

-- The ten devices of a rollout that moved last, by lane.
CREATE TABLE moved_last (
    rollout_id  uuid NOT NULL,
    lane        smallint NOT NULL,
    -- the last one first
    device_nos  integer[] NOT NULL,
    PRIMARY KEY (rollout_id, lane)
) WITH (fillfactor = 50);

-- Makes all counters again from the rows that they count. For loads that leave the triggers out, and for what is here
-- already.
CREATE FUNCTION count_again() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE device, assignment IN SHARE MODE;
    DELETE FROM device_kind;
    INSERT INTO device_kind (track_id, ring_id, status, product, base, ubr, series, edition, architecture, folded, n)
    SELECT track_id, ring_id, status, product, base, ubr, series, edition, architecture, true, count(*)
    FROM device GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
    INSERT INTO track_cohort SELECT DISTINCT track_id, UNNEST(cohorts) FROM device ON CONFLICT DO NOTHING;
    DELETE FROM standing;
    INSERT INTO standing (rollout_id, stage_id, word, waits, model, code, lane, n)
    SELECT rollout_id, stage_id,
           CASE suspicion WHEN 'hang' THEN 'hang_suspected' WHEN 'lost' THEN 'lost' ELSE state END,
           not_ready IS NOT NULL AND counted & 2 = 0,
           CASE WHEN counted & 1 = 1 AND (suspicion IS NOT NULL OR state IN ('failed', 'rolled_back')) THEN cohorts[1] ELSE 0 END,
           COALESCE(code::bigint & 4294967295, -1), 0, count(*)
    FROM assignment GROUP BY 1, 2, 3, 4, 5, 6;
    DELETE FROM moved_last;
    INSERT INTO moved_last (rollout_id, lane, device_nos)
    SELECT r.id, 0, m.device_nos FROM rollout r, LATERAL (
        SELECT array_agg(device_no ORDER BY progress_at DESC, device_no) AS device_nos FROM (
            SELECT device_no, progress_at FROM assignment WHERE rollout_id = r.id ORDER BY progress_at DESC, device_no LIMIT 10) AS a) AS m
    WHERE m.device_nos IS NOT NULL;
END $$;
SELECT count_again();

-- Cohorts of a rollout in its row: a list that is written once, and read as one.
ALTER TABLE rollout ADD COLUMN cohorts smallint[];
UPDATE rollout r SET cohorts = c.cohorts
FROM (SELECT rollout_id, array_agg(cohort ORDER BY cohort) AS cohorts FROM rollout_cohort GROUP BY 1) AS c WHERE c.rollout_id = r.id;
DROP TABLE rollout_cohort;

-- What is in flight, of a stage: orders follow the gate for those that are in another ring by now.
CREATE INDEX assignment_in_flight ON assignment (stage_id, device_no) WHERE counted & 3 = 1;
DROP INDEX assignment_not_ready;
CREATE INDEX assignment_waits ON assignment (rollout_id, device_no) WHERE not_ready IS NOT NULL;

-- Looking for serials; the kinds of devices of a track are counters now.
CREATE INDEX device_serial_text ON device ((lower(serial COLLATE "C")));
DROP INDEX device_platform;

-- Filters of the audit.
CREATE INDEX audit_actor ON audit (actor, n);
CREATE INDEX audit_action ON audit (action, n);
CREATE INDEX audit_at ON audit (at, n);
