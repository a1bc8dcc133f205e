-- A stage may be asked to be expedited while its opening or its override is asked for: one open request for each kind.
DROP INDEX request_one_open;
CREATE UNIQUE INDEX request_one_open ON request (stage_id, (ask ->> 'asks')) WHERE phase = 'open';
