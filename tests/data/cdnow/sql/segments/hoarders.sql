-- description: Ten CDs or more at once
-- tags: value
SELECT profile_id FROM events WHERE cds >= 10
