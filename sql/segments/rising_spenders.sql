-- description: Bought in the last 90 days and the 90 before, but spent twice as much in the last, and 100 or more
-- owner: crm
-- tags: value, trend
SELECT profile_id
FROM events
WHERE event = 'purchase'
  AND ts >= now() - INTERVAL '180 days'
GROUP BY profile_id
HAVING sum(CASE WHEN ts >= now() - INTERVAL '90 days' THEN amount ELSE 0 END) >= 100
   AND sum(CASE WHEN ts >= now() - INTERVAL '90 days' THEN amount ELSE 0 END)
       >= 2 * sum(CASE WHEN ts < now() - INTERVAL '90 days' THEN amount ELSE 0 END)
   AND min(ts) < now() - INTERVAL '90 days'
