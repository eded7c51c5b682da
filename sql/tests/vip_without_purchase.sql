-- description: A VIP has bought something
-- owner: crm
SELECT vip.profile_id
FROM segments.vip AS vip
LEFT JOIN (SELECT DISTINCT profile_id FROM events WHERE event = 'purchase') AS buyers
    ON buyers.profile_id = vip.profile_id
WHERE buyers.profile_id IS NULL
