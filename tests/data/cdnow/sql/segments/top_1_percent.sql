-- description: The hundredth part of all customers who spent most; more on a tie
-- tags: value
WITH spent AS (
    SELECT profile_id, rank() OVER (ORDER BY sum(amount) DESC) AS place
    FROM events GROUP BY profile_id
)
SELECT profile_id FROM spent WHERE place * 100 <= (SELECT count(*) FROM profiles)
