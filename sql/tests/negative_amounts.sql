-- description: Amounts are above zero; what flows back is a refund
-- owner: data
SELECT profile_id, ts, event, amount
FROM events
WHERE amount <= 0
