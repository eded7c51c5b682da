-- description: Bought something in the last 90 days
-- tags: recency
SELECT profile_id FROM events
WHERE event = 'purchase' AND ts >= now() - INTERVAL '90 days'
