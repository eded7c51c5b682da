-- description: Bought once upon a time, but not in the last 180 days
-- owner: crm
-- tags: lifecycle
SELECT profile_id FROM events WHERE event = 'purchase'
EXCEPT
SELECT profile_id FROM events WHERE event = 'purchase' AND ts >= now() - INTERVAL '180 days'
