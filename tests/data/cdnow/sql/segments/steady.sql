-- description: Bought in at least six different months
-- tags: frequency
SELECT profile_id FROM events
GROUP BY profile_id
HAVING count(DISTINCT date_trunc('month', ts)) >= 6
