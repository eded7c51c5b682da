-- description: Frequent buyers who never returned a thing
-- tags: frequency, returns
SELECT profile_id FROM segments.frequent_buyers AS f
WHERE NOT EXISTS (SELECT 1 FROM events AS e WHERE e.profile_id = f.profile_id AND e.event = 'return')
