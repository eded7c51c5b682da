-- description: Everyone we may text: agreed to it, and gave a number
-- owner: crm
-- tags: reach, sms
SELECT profile_id
FROM profiles
WHERE sms_consent
  AND phone IS NOT NULL
