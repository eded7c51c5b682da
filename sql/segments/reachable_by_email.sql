-- description: Everyone we may write to: agreed to marketing, and gave an address
-- owner: crm
-- tags: reach, email
SELECT profile_id
FROM profiles
WHERE marketing_consent
  AND email IS NOT NULL
