-- description: A purchase or a refund says how much
-- owner: data
SELECT profile_id, ts, event
FROM events
WHERE event IN ('purchase', 'refund')
  AND amount IS NULL
