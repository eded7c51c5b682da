-- description: Left a cart or just looked, may get mail, and has not bought in the last 3 days
-- owner: shop
-- tags: retargeting, email
(
    SELECT profile_id FROM segments.cart_abandoners
    UNION
    SELECT profile_id FROM segments.browse_abandoners
)
INTERSECT
SELECT profile_id FROM segments.reachable_by_email
EXCEPT
SELECT profile_id FROM events WHERE event = 'purchase' AND ts >= now() - INTERVAL '3 days'
