-- description: Under thirty and single
-- tags: life
SELECT profile_id FROM profiles WHERE age < 30 AND marital = 'single'
