-- description: The hundred who left most money, returns taken off; more on a tie
-- tags: value
SELECT profile_id
FROM (SELECT profile_id, rank() OVER (ORDER BY sum(amount) DESC) AS place FROM events GROUP BY profile_id)
WHERE place <= 100
