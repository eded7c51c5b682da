-- description: Spent more in the last 180 days than in the 180 days before
-- tags: value
SELECT profile_id FROM events
WHERE ts >= now() - INTERVAL '360 days'
GROUP BY profile_id
HAVING coalesce(sum(amount) FILTER (WHERE ts >= now() - INTERVAL '180 days'), 0)
     > coalesce(sum(amount) FILTER (WHERE ts < now() - INTERVAL '180 days'), 0)
