-- description: A lunch bag, and on a later invoice within 60 days a lunch box
-- tags: sequence
SELECT DISTINCT bag.profile_id
FROM events AS bag
JOIN events AS box ON box.profile_id = bag.profile_id
WHERE bag.event = 'purchase' AND bag.description LIKE 'LUNCH BAG%'
  AND box.event = 'purchase' AND box.description LIKE 'LUNCH BOX%'
  AND box.ts > bag.ts AND box.ts <= bag.ts + INTERVAL '60 days'
