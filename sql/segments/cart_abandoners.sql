-- description: Put something into the cart in the last 7 days and bought nothing after it
-- owner: shop
-- tags: retargeting
SELECT profile_id
FROM events
WHERE event IN ('add_to_cart', 'purchase')
  AND ts >= now() - INTERVAL '7 days'
GROUP BY profile_id
HAVING max(ts) FILTER (WHERE event = 'add_to_cart')
     > coalesce(max(ts) FILTER (WHERE event = 'purchase'), TIMESTAMP '1970-01-01T00:00:00Z')
