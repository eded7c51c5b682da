-- description: 500 dollars or more in all
-- tags: value
SELECT profile_id FROM events GROUP BY profile_id HAVING sum(amount) >= 500
