-- description: Bought within 7 days of a click in one of our mails, in the last half year
-- owner: crm
-- tags: email, sequence
WITH steps AS (
    SELECT
        profile_id,
        event,
        ts,
        max(CASE WHEN event = 'email_click' THEN ts END) OVER (
            PARTITION BY profile_id
            ORDER BY ts
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS clicked_at
    FROM events
    WHERE event IN ('email_click', 'purchase')
      AND ts >= now() - INTERVAL '180 days'
)
SELECT DISTINCT profile_id
FROM steps
WHERE event = 'purchase'
  AND ts <= clicked_at + INTERVAL '7 days'
