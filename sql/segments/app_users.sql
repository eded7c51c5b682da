-- description: Opened the app in the last 30 days
-- owner: app
-- tags: engagement, app
SELECT profile_id
FROM events
WHERE event = 'app_open'
  AND ts >= now() - INTERVAL '30 days'
