-- description: Looked at three products or more in two weeks, but put none into the cart
-- owner: shop
-- tags: retargeting
SELECT profile_id
FROM events
WHERE event = 'product_view'
  AND ts >= now() - INTERVAL '14 days'
GROUP BY profile_id
HAVING count(*) >= 3
EXCEPT
SELECT profile_id
FROM events
WHERE event IN ('add_to_cart', 'purchase')
  AND ts >= now() - INTERVAL '14 days'
