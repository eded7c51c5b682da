-- description: Among the fifty largest balances of their job; more on a tie, unknown jobs are one job
-- tags: money
SELECT profile_id
FROM (SELECT profile_id, rank() OVER (PARTITION BY job ORDER BY balance DESC) AS place FROM profiles)
WHERE place <= 50
