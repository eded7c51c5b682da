-- description: Two invoices or more at or after six in the evening, London time
-- tags: habit
SELECT profile_id FROM events
WHERE event = 'purchase' AND date_part('hour', ts AT TIME ZONE 'Europe/London') >= 18
GROUP BY profile_id
HAVING count(DISTINCT invoice) >= 2
