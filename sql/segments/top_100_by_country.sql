-- description: The hundred best customers of each country this year, for the local teams' invitations
-- owner: crm
-- tags: value, country
WITH spend AS (
    SELECT profile_id, sum(amount) AS spent
    FROM events
    WHERE event = 'purchase'
      AND ts >= now() - INTERVAL '365 days'
    GROUP BY profile_id
),
ranked AS (
    SELECT
        profiles.profile_id,
        row_number() OVER (
            PARTITION BY profiles.country
            ORDER BY spend.spent DESC, profiles.profile_id
        ) AS place
    FROM profiles
    JOIN spend ON spend.profile_id = profiles.profile_id
)
SELECT profile_id
FROM ranked
WHERE place <= 100
