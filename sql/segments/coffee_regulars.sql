-- description: Bought coffee in at least two different months of the last year
-- owner: shop
-- tags: category
SELECT profile_id
FROM events
WHERE event = 'purchase'
  AND category = 'coffee'
  AND ts >= now() - INTERVAL '365 days'
GROUP BY profile_id
HAVING count(DISTINCT date_trunc('month', ts)) >= 2
