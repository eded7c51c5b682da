-- description: At least three lines of 200 pieces or more
-- tags: value
SELECT profile_id FROM events
WHERE event = 'purchase' AND quantity >= 200
GROUP BY profile_id
HAVING count(*) >= 3
