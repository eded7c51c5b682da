-- description: Customers as the shop's database exports them, one row each
-- owner: data
-- kind: profiles
-- keys: user_id, email, phone
SELECT
    user_id,
    lower(trim(email)) AS email,
    phone,
    first_name,
    last_name,
    country,
    city,
    birth_date,
    gender,
    signup_at,
    plan,
    language,
    device,
    acquisition_channel,
    marketing_consent,
    sms_consent,
    loyalty_tier,
    loyalty_points,
    interests,
    nps_score,
    store_id
FROM 'demo-data/profiles.parquet'
