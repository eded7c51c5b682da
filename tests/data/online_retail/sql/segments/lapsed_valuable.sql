-- description: Big spenders whom nobody has seen for 90 days
-- tags: value, recency
SELECT profile_id FROM segments.big_spenders
EXCEPT
SELECT profile_id FROM segments.active_90_days
