-- description: Big spenders who are still here
-- tags: value, recency
SELECT profile_id FROM segments.big_spenders
INTERSECT
SELECT profile_id FROM segments.active_90_days
