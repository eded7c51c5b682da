-- description: Bought from the Black Friday campaign of last year
-- owner: shop
-- tags: price, season
SELECT profile_id
FROM events
WHERE event = 'purchase'
  AND campaign = 'black_friday'
  AND ts >= now() - INTERVAL '12 months'
  AND date_part('month', ts) IN (11, 12)
