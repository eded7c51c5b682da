-- description: How much somebody looks, reads and asks, in half a year and lately
-- owner: crm
-- Day by day first: counting days is then counting rows, which takes far less memory than DISTINCT.
SELECT
    profile_id,
    sum(page_views) AS page_views,
    sum(product_views) AS product_views,
    sum(carts) AS carts,
    sum(emails_opened) AS emails_opened,
    sum(emails_clicked) AS emails_clicked,
    sum(app_opens) AS app_opens,
    sum(tickets) AS tickets,
    count(*) AS active_days,
    sum(events_30d) AS events_30d
FROM (
    SELECT
        profile_id,
        date_trunc('day', ts) AS day,
        count(*) FILTER (WHERE event = 'page_view') AS page_views,
        count(*) FILTER (WHERE event = 'product_view') AS product_views,
        count(*) FILTER (WHERE event = 'add_to_cart') AS carts,
        count(*) FILTER (WHERE event = 'email_open') AS emails_opened,
        count(*) FILTER (WHERE event = 'email_click') AS emails_clicked,
        count(*) FILTER (WHERE event = 'app_open') AS app_opens,
        count(*) FILTER (WHERE event = 'support_ticket') AS tickets,
        count(*) FILTER (WHERE ts >= now() - INTERVAL '30 days') AS events_30d
    FROM events
    WHERE ts >= now() - INTERVAL '180 days'
    GROUP BY profile_id, date_trunc('day', ts)
) AS days
GROUP BY profile_id
