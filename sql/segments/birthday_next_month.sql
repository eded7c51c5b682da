-- description: Birthday in the coming calendar month, and reachable by e-mail
-- owner: crm
-- tags: occasion, email
SELECT profile_id
FROM profiles
WHERE date_part('month', birth_date) = date_part('month', current_date + INTERVAL '1 month')
  AND profile_id IN (SELECT profile_id FROM segments.reachable_by_email)
