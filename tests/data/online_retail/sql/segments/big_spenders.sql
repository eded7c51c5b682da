-- description: Over 5,000 pounds in all, returns taken off
-- tags: value
SELECT profile_id FROM events GROUP BY profile_id HAVING sum(amount) > 5000
