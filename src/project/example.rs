//! The example project: the made-up shop's sources, segments, features and tests.
//!
//! It is the folder `sql/` of this repository, carried within the binary so that the demo needs
//! nothing but itself.

use std::path::Path;

use include_dir::{Dir, include_dir};

use crate::error::{Error, Result};

use super::CONFIG_FILE;

static SQL: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/sql");

/// Where the example's sources expect the shop's files, below the project.
pub const DATA_FOLDER: &str = "demo-data";

const CONFIG: &str = "\
# The demo project: a made-up shop. Change a file in sql/segments and run `throng build`.

# The shop's data ends here, so this is the moment that its segments are built for.
as_of = \"2026-11-01\"
";

/// Writes the example project to `root`; files that are there already are replaced.
///
/// # Errors
/// Where the folder cannot be written.
pub fn write(root: &Path) -> Result<()> {
    let sql = root.join("sql");
    std::fs::create_dir_all(&sql).map_err(|e| Error::io("make", &sql, e))?;
    SQL.extract(&sql).map_err(|e| Error::io("write", &sql, e))?;
    let config = root.join(CONFIG_FILE);
    std::fs::write(&config, CONFIG).map_err(|e| Error::io("write", &config, e))
}
