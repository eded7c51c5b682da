-- description: Buys outdoor things, or likes camping and looks at them, but bought none this month
-- owner: shop
-- tags: category
(
    SELECT profile_id
    FROM events
    WHERE event = 'purchase'
      AND category IN ('outdoor-jackets', 'camping', 'backpacks')
      AND ts >= now() - INTERVAL '365 days'
    UNION
    (
        SELECT profile_id FROM profiles WHERE array_has(interests, 'camping')
        INTERSECT
        SELECT profile_id
        FROM events
        WHERE event = 'product_view'
          AND category IN ('outdoor-jackets', 'camping', 'backpacks')
          AND ts >= now() - INTERVAL '90 days'
    )
)
EXCEPT
SELECT profile_id
FROM events
WHERE event = 'purchase'
  AND category IN ('outdoor-jackets', 'camping', 'backpacks')
  AND ts >= now() - INTERVAL '30 days'
