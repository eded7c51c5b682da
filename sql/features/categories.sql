-- description: In how many categories somebody has bought
-- owner: crm
SELECT profile_id, count(*) AS categories_bought
FROM (
    SELECT DISTINCT profile_id, category
    FROM events
    WHERE event = 'purchase' AND category IS NOT NULL
) AS bought
GROUP BY profile_id
