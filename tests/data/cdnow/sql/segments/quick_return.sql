-- description: Came back within 30 days of the first day
-- tags: frequency
WITH days AS (
    SELECT profile_id, ts, min(ts) OVER (PARTITION BY profile_id) AS first_ts FROM events
)
SELECT profile_id FROM days WHERE ts > first_ts AND ts <= first_ts + INTERVAL '30 days'
