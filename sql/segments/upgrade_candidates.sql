-- description: On the free or basic plan, and spends more in a year than the average buyer
-- owner: product
-- tags: value, plan
WITH spend AS (
    SELECT profile_id, sum(amount) AS spent
    FROM events
    WHERE event = 'purchase'
      AND ts >= now() - INTERVAL '365 days'
    GROUP BY profile_id
)
SELECT profiles.profile_id
FROM profiles
JOIN spend ON spend.profile_id = profiles.profile_id
WHERE profiles.plan IN ('free', 'basic')
  AND spend.spent > (SELECT avg(spent) FROM spend)
