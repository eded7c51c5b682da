-- description: The 10,000 customers with the highest spend of all time
-- owner: crm
-- tags: value
SELECT profile_id
FROM events
WHERE event = 'purchase'
GROUP BY profile_id
ORDER BY sum(amount) DESC, profile_id
LIMIT 10000
