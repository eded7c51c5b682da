-- description: At least five purchases, none in the last 180 days
-- tags: recency, frequency
SELECT profile_id FROM events
GROUP BY profile_id
HAVING count(*) >= 5 AND max(ts) < now() - INTERVAL '180 days'
