-- description: Gave us 9 or 10 of 10, and has not complained for half a year: ask them for a review
-- owner: service
-- tags: service, advocacy
SELECT profile_id
FROM profiles
WHERE nps_score >= 9
EXCEPT
SELECT profile_id
FROM events
WHERE event IN ('support_ticket', 'refund')
  AND ts >= now() - INTERVAL '180 days'
