-- description: Brought things back that were bought before the data begins
-- tags: returns, quality
SELECT profile_id FROM events WHERE event = 'return'
EXCEPT
SELECT profile_id FROM events WHERE event = 'purchase'
