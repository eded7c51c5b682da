-- description: One invoice, and that was it
-- tags: frequency
SELECT profile_id FROM events
WHERE event = 'purchase'
GROUP BY profile_id
HAVING count(DISTINCT invoice) = 1
