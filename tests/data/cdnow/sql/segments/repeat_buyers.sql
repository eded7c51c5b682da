-- description: Bought on two days or more
-- tags: frequency
SELECT profile_id FROM events GROUP BY profile_id HAVING count(DISTINCT ts) >= 2
