-- description: Savers and young singles who have not said yes
-- tags: outcome
(SELECT profile_id FROM segments.retired_savers
 UNION
 SELECT profile_id FROM segments.young_singles)
EXCEPT
SELECT profile_id FROM segments.subscribers
