-- description: Spent 1,000 or more in the last twelve months, refunds taken off
-- owner: crm
-- tags: value
SELECT profile_id
FROM events
WHERE event IN ('purchase', 'refund')
  AND ts >= now() - INTERVAL '365 days'
GROUP BY profile_id
HAVING sum(CASE WHEN event = 'refund' THEN -amount ELSE amount END) >= 1000
