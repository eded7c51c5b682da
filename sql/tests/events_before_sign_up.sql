-- description: Customers do nothing before they have signed up
-- owner: data
SELECT events.profile_id, events.ts, profiles.signup_at
FROM events
JOIN profiles ON profiles.profile_id = events.profile_id
WHERE events.ts < profiles.signup_at
