-- description: Invoices went to more than one country
-- tags: country, quality
SELECT profile_id FROM profiles WHERE countries > 1
