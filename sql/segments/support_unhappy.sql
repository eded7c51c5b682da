-- description: Asked for help in the last 180 days and would not recommend us, or asked three times
-- owner: service
-- tags: service
SELECT profile_id
FROM profiles
WHERE nps_score <= 6
  AND profile_id IN (
      SELECT profile_id
      FROM events
      WHERE event = 'support_ticket'
        AND ts >= now() - INTERVAL '180 days'
  )
UNION
SELECT profile_id
FROM events
WHERE event = 'support_ticket'
  AND ts >= now() - INTERVAL '180 days'
GROUP BY profile_id
HAVING count(*) >= 3
