-- description: An identifier points to one profile
-- owner: data
SELECT namespace, value, count(DISTINCT profile_id) AS profiles
FROM identifiers
GROUP BY namespace, value
HAVING count(DISTINCT profile_id) > 1
