-- description: In the Benelux, says running is an interest or looked at running shoes, 25 to 44 years old
-- owner: shop
-- tags: country, category
SELECT profile_id
FROM profiles
WHERE country IN ('NL', 'BE', 'LU')
  AND birth_date > current_date - INTERVAL '45 years'
  AND birth_date <= current_date - INTERVAL '25 years'
  AND (
      array_has(interests, 'running')
      OR profile_id IN (
          SELECT profile_id
          FROM events
          WHERE event = 'product_view'
            AND category = 'running'
            AND ts >= now() - INTERVAL '60 days'
      )
  )
