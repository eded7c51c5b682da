-- description: The second invoice came within a week of the first
-- tags: frequency
WITH orders AS (
    SELECT profile_id, invoice, min(ts) AS ordered_at
    FROM events WHERE event = 'purchase'
    GROUP BY profile_id, invoice
), numbered AS (
    SELECT profile_id, ordered_at,
           row_number() OVER (PARTITION BY profile_id ORDER BY ordered_at) AS number,
           lag(ordered_at) OVER (PARTITION BY profile_id ORDER BY ordered_at) AS before
    FROM orders
)
SELECT profile_id FROM numbered WHERE number = 2 AND ordered_at <= before + INTERVAL '7 days'
