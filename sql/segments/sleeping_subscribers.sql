-- description: Pays for plus or premium, but has not opened a page or the app for 60 days
-- owner: product
-- tags: lifecycle, plan
SELECT profile_id
FROM profiles
WHERE plan IN ('plus', 'premium')
  AND NOT EXISTS (
      SELECT 1
      FROM events
      WHERE events.profile_id = profiles.profile_id
        AND events.event IN ('page_view', 'product_view', 'app_open')
        AND events.ts >= now() - INTERVAL '60 days'
  )
