-- description: Bought in December 1997
-- tags: season
SELECT profile_id FROM events
WHERE ts >= TIMESTAMP '1997-12-01 00:00:00' AND ts < TIMESTAMP '1998-01-01 00:00:00'
