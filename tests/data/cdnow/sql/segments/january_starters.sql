-- description: First bought in January 1997
-- tags: cohort
SELECT profile_id FROM events GROUP BY profile_id HAVING min(ts) < TIMESTAMP '1997-02-01 00:00:00'
