-- description: Below zero
-- tags: money
SELECT profile_id FROM profiles WHERE balance < 0
