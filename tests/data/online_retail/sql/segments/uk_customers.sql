-- description: Last invoice went to the United Kingdom
-- tags: country
SELECT profile_id FROM profiles WHERE country = 'United Kingdom'
