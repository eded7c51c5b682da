-- description: Bought Christmas things between March and September 2011
-- tags: season
SELECT profile_id FROM events
WHERE event = 'purchase' AND description LIKE '%CHRISTMAS%'
  AND ts >= TIMESTAMP '2011-03-01 00:00:00' AND ts < TIMESTAMP '2011-10-01 00:00:00'
