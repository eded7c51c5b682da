-- description: How much somebody looks, reads and asks, in half a year and lately
-- owner: crm
SELECT
    profile_id,
    count(*) FILTER (WHERE event = 'page_view') AS page_views,
    count(*) FILTER (WHERE event = 'product_view') AS product_views,
    count(*) FILTER (WHERE event = 'add_to_cart') AS carts,
    count(*) FILTER (WHERE event = 'email_open') AS emails_opened,
    count(*) FILTER (WHERE event = 'email_click') AS emails_clicked,
    count(*) FILTER (WHERE event = 'app_open') AS app_opens,
    count(*) FILTER (WHERE event = 'support_ticket') AS tickets,
    count(DISTINCT session_id) AS sessions,
    count(DISTINCT date_trunc('day', ts)) AS active_days,
    count(*) FILTER (WHERE ts >= now() - INTERVAL '30 days') AS events_30d
FROM events
WHERE ts >= now() - INTERVAL '180 days'
GROUP BY profile_id
