-- description: What is known without looking at a single event
-- owner: crm
SELECT
    profile_id,
    country,
    plan,
    device,
    acquisition_channel,
    loyalty_points,
    marketing_consent,
    sms_consent,
    date_part('year', current_date) - date_part('year', birth_date) AS age,
    date_part('epoch', now() - signup_at) / 86400.0 AS tenure_days,
    CAST(coalesce(array_length(interests), 0) AS INT) AS interests_named,
    nps_score
FROM profiles
