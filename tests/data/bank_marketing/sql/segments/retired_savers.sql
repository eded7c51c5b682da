-- description: Retired, with more than 2,000 on the account
-- tags: life, money
SELECT profile_id FROM profiles WHERE job = 'retired' AND balance > 2000
