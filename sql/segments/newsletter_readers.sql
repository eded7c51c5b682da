-- description: Opened at least two of our mails in the last half year
-- owner: crm
-- tags: engagement, email
SELECT profile_id
FROM events
WHERE event = 'email_open'
  AND ts >= now() - INTERVAL '180 days'
GROUP BY profile_id
HAVING count(*) >= 2
