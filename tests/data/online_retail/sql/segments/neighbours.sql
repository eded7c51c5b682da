-- description: Customers on the near side of the continent
-- tags: country
SELECT profile_id FROM profiles
WHERE country IN ('France', 'Belgium', 'Netherlands', 'Germany', 'EIRE', 'Channel Islands')
