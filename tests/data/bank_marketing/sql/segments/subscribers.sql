-- description: Said yes to the deposit
-- tags: outcome
SELECT profile_id FROM profiles WHERE subscribed
