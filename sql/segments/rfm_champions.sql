-- description: Bought lately, often and for much: within 60 days, four times and 400 a year
-- owner: crm
-- tags: value, rfm
SELECT profile_id
FROM events
WHERE event = 'purchase'
  AND ts >= now() - INTERVAL '365 days'
GROUP BY profile_id
HAVING max(ts) >= now() - INTERVAL '60 days'
   AND count(*) >= 4
   AND sum(amount) >= 400
