-- description: Bought in the last 90 days
-- tags: recency
SELECT profile_id FROM events WHERE ts >= now() - INTERVAL '90 days'
