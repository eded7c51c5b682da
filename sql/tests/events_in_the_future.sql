-- description: Nothing has happened that has yet to happen
-- owner: data
SELECT profile_id, ts, event
FROM events
WHERE ts > now()
