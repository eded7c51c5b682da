-- description: We do not know what they learnt
-- tags: quality
SELECT profile_id FROM profiles WHERE education IS NULL
