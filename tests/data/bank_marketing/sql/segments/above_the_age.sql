-- description: More on the account than the average of those as old
-- tags: money
SELECT p.profile_id
FROM profiles AS p
JOIN (SELECT age, avg(balance) AS usual FROM profiles GROUP BY age) AS a ON a.age = p.age
WHERE p.balance > a.usual
