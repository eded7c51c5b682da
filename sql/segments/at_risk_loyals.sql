-- description: Bought three times or more in the year before, and nothing in the last 90 days
-- owner: crm
-- tags: lifecycle, rfm
SELECT profile_id
FROM events
WHERE event = 'purchase'
  AND ts >= now() - INTERVAL '455 days'
GROUP BY profile_id
HAVING count(*) >= 3
   AND max(ts) < now() - INTERVAL '90 days'
