-- description: Sent back two purchases or more in a year, or a quarter of what they bought
-- owner: service
-- tags: service
SELECT profile_id
FROM events
WHERE event IN ('purchase', 'refund')
  AND ts >= now() - INTERVAL '365 days'
GROUP BY profile_id
HAVING count(*) FILTER (WHERE event = 'refund') >= 2
    OR (
        count(*) FILTER (WHERE event = 'refund') >= 1
        AND 4 * count(*) FILTER (WHERE event = 'refund') >= count(*) FILTER (WHERE event = 'purchase')
    )
