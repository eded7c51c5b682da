-- description: Bought once
-- tags: frequency
SELECT profile_id FROM events GROUP BY profile_id HAVING count(*) = 1
