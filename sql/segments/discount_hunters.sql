-- description: Three purchases or more in a year, at least two thirds of them with a coupon or in a sale
-- owner: crm
-- tags: price
SELECT profile_id
FROM events
WHERE event = 'purchase'
  AND ts >= now() - INTERVAL '365 days'
GROUP BY profile_id
HAVING count(*) >= 3
   AND 3 * count(*) FILTER (
           WHERE campaign LIKE 'coupon%' OR campaign LIKE 'sale%' OR campaign = 'black_friday'
       ) >= 2 * count(*)
