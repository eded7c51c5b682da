//! A new project: `throng.toml` and commented examples that work once their files are there.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::CONFIG_FILE;

const CONFIG: &str = r#"# A Throng project. Everything here has a default; the commented lines show it.

# What now() is in segments. Without it: the moment of the build.
# as_of = "2026-11-01"

[store]
# A folder below this one, or s3://bucket/path, gs://..., az://...
# location = "store"

[limits]
# threads = 4        # all cores
# memory = "4GB"     # for queries and ingest; 2 GiB without it
# rejects = "5%"     # rows an ingest may reject before it fails; 1% or 100 rows without it
"#;

const CUSTOMERS: &str = "\
-- description: Our customers, as the shop exports them
-- kind: profiles
-- keys: user_id=customer_id, email
--
-- One row a profile. The first key says who a row is about; the other ones are kept as further
-- identifiers. Every other column becomes an attribute. Run `throng ingest` after changing the path.
SELECT customer_id, email, country, plan, signed_up
FROM 'data/customers*.csv'
";

const ORDERS: &str = "\
-- description: What they bought
-- kind: events
-- keys: user_id=customer_id
-- time: order_date
-- event: 'purchase'
--
-- One row an event. A customer that is not known yet becomes a profile.
SELECT customer_id, order_date, amount, product
FROM 'data/orders*.csv'
";

const VIP: &str = "\
-- description: Spent over 500 in the last year
-- tags: value
SELECT profile_id
FROM events
WHERE event = 'purchase' AND ts >= now() - INTERVAL '365 days'
GROUP BY profile_id
HAVING sum(amount) > 500
";

const WIN_BACK: &str = "\
-- description: Good customers who have not bought for 90 days
-- tags: value, retention
--
-- A segment may use another one: it is built after it.
SELECT profile_id FROM segments.big_spenders
EXCEPT
SELECT profile_id FROM events
WHERE event = 'purchase' AND ts >= now() - INTERVAL '90 days'
";

const TEST: &str = "\
-- description: Every purchase has an amount
--
-- A test returns offending rows, and so passes when it returns none.
SELECT * FROM events WHERE event = 'purchase' AND amount IS NULL
";

/// The files of a new project.
const FILES: [(&str, &str); 6] = [
    (CONFIG_FILE, CONFIG),
    ("sql/sources/customers.sql", CUSTOMERS),
    ("sql/sources/orders.sql", ORDERS),
    ("sql/segments/big_spenders.sql", VIP),
    ("sql/segments/win_back.sql", WIN_BACK),
    ("sql/tests/purchases_have_amounts.sql", TEST),
];

/// Makes a project in `root`, and says which files it wrote.
///
/// # Errors
/// Where there is a project already, or the folder cannot be written.
pub fn init(root: &Path) -> Result<Vec<PathBuf>> {
    if root.join(CONFIG_FILE).exists() {
        return Err(Error::input(format!("{} is a project already", root.display())));
    }
    for folder in ["sql/features", "data"] {
        let folder = root.join(folder);
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("make", &folder, e))?;
    }
    let mut written = Vec::new();
    for (name, text) in FILES {
        let path = root.join(name);
        let folder = path.parent().unwrap_or(root);
        std::fs::create_dir_all(folder).map_err(|e| Error::io("make", folder, e))?;
        if !path.exists() {
            std::fs::write(&path, text).map_err(|e| Error::io("write", &path, e))?;
            written.push(path);
        }
    }
    Ok(written)
}
