-- description: Somebody called them in an earlier campaign
-- tags: contact
SELECT profile_id FROM profiles WHERE days_since_contact IS NOT NULL
