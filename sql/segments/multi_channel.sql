-- description: Bought through two channels or more in a year
-- owner: crm
-- tags: engagement
SELECT profile_id
FROM events
WHERE event = 'purchase'
  AND ts >= now() - INTERVAL '365 days'
GROUP BY profile_id
HAVING count(DISTINCT channel) >= 2
