-- description: Ten invoices or more, returns not counted
-- tags: frequency
SELECT profile_id FROM events
WHERE event = 'purchase'
GROUP BY profile_id
HAVING count(DISTINCT invoice) >= 10
