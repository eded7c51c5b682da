-- description: Last called at most a hundred days before
-- tags: contact
SELECT profile_id FROM profiles WHERE days_since_contact <= 100
