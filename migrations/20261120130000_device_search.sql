-- What looking for devices goes by. Text is compared with letters A to Z in lower case, whatever the locale of the
-- database: the same on every one.

CREATE INDEX device_host ON device ((lower(host_name COLLATE "C")));
CREATE INDEX device_model ON device ((lower((facts ->> 'model') COLLATE "C")));
CREATE INDEX device_tags ON device USING gin (((lower((facts -> 'tags')::text COLLATE "C"))::jsonb) jsonb_path_ops);
CREATE INDEX device_build ON device (base, ubr);
-- Also in its order: what decides whether a sequence is for a device, so that the kinds of devices of a track can be
-- listed without reading all of them.
CREATE INDEX device_platform ON device (track_id, product, base, ubr, series, edition, architecture);
CREATE INDEX device_not_admitted ON device (status, device_no) WHERE status <> 'admitted';
CREATE INDEX device_clone ON device (device_no) WHERE clone_suspected;
CREATE INDEX device_pin ON device (device_no) WHERE pin IS NOT NULL;

-- Devices of a rollout by how far they are: a suspicion, while it stands, says more than the last report.
CREATE INDEX assignment_word ON assignment
    (rollout_id, (CASE suspicion WHEN 'hang' THEN 'hang_suspected' WHEN 'lost' THEN 'lost' ELSE state END), device_no);
CREATE INDEX assignment_code ON assignment (rollout_id, code, device_no) WHERE code IS NOT NULL;
