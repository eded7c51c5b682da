-- description: Bought exactly once, between 30 and 180 days ago: time for the second purchase
-- owner: crm
-- tags: lifecycle
SELECT profile_id
FROM events
WHERE event = 'purchase'
GROUP BY profile_id
HAVING count(*) = 1
   AND max(ts) >= now() - INTERVAL '180 days'
   AND max(ts) < now() - INTERVAL '30 days'
