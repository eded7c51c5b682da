-- description: Recency, frequency and value of purchases: the classic three, and what surrounds them
-- owner: crm
SELECT
    profile_id,
    date_part('epoch', now() - max(ts)) / 86400.0 AS days_since_purchase,
    count(*) AS purchases,
    sum(amount) AS spent,
    avg(amount) AS basket_mean,
    sum(quantity) AS pieces,
    count(*) FILTER (WHERE ts >= now() - INTERVAL '90 days') AS purchases_90d,
    coalesce(sum(amount) FILTER (WHERE ts >= now() - INTERVAL '90 days'), 0) AS spent_90d,
    avg(CASE WHEN campaign IS NULL THEN 0.0 ELSE 1.0 END) AS campaign_share
FROM events
WHERE event = 'purchase'
GROUP BY profile_id
