-- description: Had at least one order that cost nothing
-- tags: quality
SELECT profile_id FROM events WHERE amount = 0
