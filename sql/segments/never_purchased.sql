-- description: Signed up more than 90 days ago, came by in the last 90, and never bought
-- owner: crm
-- tags: lifecycle
SELECT profiles.profile_id
FROM profiles
LEFT JOIN (SELECT DISTINCT profile_id FROM events WHERE event = 'purchase') AS buyers
    ON buyers.profile_id = profiles.profile_id
WHERE profiles.signup_at < now() - INTERVAL '90 days'
  AND buyers.profile_id IS NULL
  AND EXISTS (
      SELECT 1
      FROM events
      WHERE events.profile_id = profiles.profile_id
        AND events.event = 'page_view'
        AND events.ts >= now() - INTERVAL '90 days'
  )
