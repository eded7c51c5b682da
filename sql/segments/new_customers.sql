-- description: Signed up in the last 30 days
-- owner: crm
-- tags: lifecycle
SELECT profile_id
FROM profiles
WHERE signup_at >= now() - INTERVAL '30 days'
