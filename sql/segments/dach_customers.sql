-- description: Lives in Germany, Austria or Switzerland and reads German
-- owner: crm
-- tags: country
SELECT profile_id
FROM profiles
WHERE country IN ('DE', 'AT', 'CH')
  AND language = 'de'
