-- description: At least ten lines, and one in five of them a return
-- tags: returns
SELECT profile_id FROM events
GROUP BY profile_id
HAVING count(*) >= 10 AND 5 * count(*) FILTER (WHERE event = 'return') >= count(*)
