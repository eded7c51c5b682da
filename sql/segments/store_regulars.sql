-- description: Has a home store, and bought at a till in the last year
-- owner: stores
-- tags: store
SELECT profiles.profile_id
FROM profiles
JOIN events ON events.profile_id = profiles.profile_id
WHERE profiles.store_id IS NOT NULL
  AND events.event = 'purchase'
  AND events.channel = 'store'
  AND events.ts >= now() - INTERVAL '365 days'
