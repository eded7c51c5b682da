-- description: Lapsed customers who were worth 150 or more, and whom we may still write to
-- owner: crm
-- tags: lifecycle, email
SELECT profile_id FROM segments.lapsed
INTERSECT
SELECT profile_id FROM segments.reachable_by_email
INTERSECT
SELECT profile_id
FROM events
WHERE event = 'purchase'
GROUP BY profile_id
HAVING sum(amount) >= 150
